"""Which properties of a resource differ, as paths without list indices, with the value on each side."""

from collections.abc import Iterator
from typing import Any

from perene.contract.steps import Step
from perene.safety.comparisons import MISSING

Change = tuple[Any, Any]
_BOOKKEEPING = ("__defaults", "__meta", "__internal", "__fieldManager", "__initialApiVersion", "__inputs")
# The Google provider's own copies of `labels` and `annotations`.
_COPIES = ("pulumiLabels", "effectiveLabels", "effectiveAnnotations")


def at(tree: Any, path: str) -> Any:
    """The value at a path, MISSING when it is not there."""
    for part in path.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return MISSING
        tree = tree[part]
    return tree


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Change]]:
    if old is new:
        return
    sides = [side for side in (old, new) if isinstance(side, dict)]
    if not sides or not all(isinstance(side, dict) or side is MISSING for side in (old, new)):
        if not _equal(old, new):
            yield path, (old, new)
        return
    keys = dict.fromkeys(key for side in sides for key in side if not key.startswith("__"))
    if not keys and MISSING in (old, new):
        yield path, (old, new)
    for key in keys:
        before, after = (side.get(key, MISSING) if isinstance(side, dict) else MISSING for side in (old, new))
        yield from _leaves(before, after, f"{path}.{key}" if path else key)


def _equal(old: Any, new: Any) -> bool:
    if type(old) is not type(new):
        return isinstance(old, int | float) and isinstance(new, int | float) and not isinstance(old, bool | str) and old == new
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_equal, old, new))
    if isinstance(old, dict):
        keys = {key for key in (*old, *new) if not key.startswith("__")}
        return all(key in old and key in new and _equal(old[key], new[key]) for key in keys)
    return bool(old == new)


def related(one: str, other: str) -> bool:
    """Whether two paths are the same or one lies below the other."""
    return one == other or one.startswith(other + ".") or other.startswith(one + ".")


def as_adopted(step: Step) -> Step:
    """An update that follows an import in one change, without what only the reading of the existing object brought in.

    What the program never declared and the engine's own difference does not name stays as it is in the service.
    """
    if step.old is None or step.new is None:
        return step
    named = [change.path.split("[", maxsplit=1)[0] for change in step.changes]
    brought = [
        path
        for path, (_, after) in _leaves(step.old.inputs, step.new.inputs, "")
        if after is MISSING and not any(related(path, each) for each in named)
    ]
    return step.model_copy(update={"old": step.old.model_copy(update={"inputs": _without(step.old.inputs, brought)})}) if brought else step


def _without(tree: dict[str, Any], paths: list[str], here: str = "") -> dict[str, Any]:
    left = {
        key: _without(value, paths, f"{here}{key}.") if isinstance(value, dict) else value
        for key, value in tree.items()
        if f"{here}{key}" not in paths
    }
    return {
        key: value for key, value in left.items() if value == tree[key] or not isinstance(value, dict) or set(value) - set(_BOOKKEEPING)
    }


def changed(step: Step) -> dict[str, Change]:
    """path -> (old, new) of everything that differs: the inputs themselves, and what the engine's own difference names beyond them.

    A path that only the engine names (a masked or computed value) has its known values, or the mask on both sides.
    """
    old, new = step.old, step.new
    found = dict(_leaves(old.inputs if old else {}, new.inputs if new else {}, ""))
    for change in step.changes:
        path = change.path.split("[", maxsplit=1)[0]
        if path.split(".", maxsplit=1)[0] in (*_BOOKKEEPING, *_COPIES) or any(related(leaf, path) for leaf in found):
            continue
        before = at(old.outputs, path) if old else MISSING
        after = (at(new.outputs, path) if new.outputs else at(new.inputs, path)) if new else MISSING
        beneath = dict(_leaves(before, after, path))
        found |= beneath or {path: ("[secret]", "[secret]")}
    return found
