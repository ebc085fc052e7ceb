"""What differs between two objects: pure, in the paths of the engine's detailed diff."""

import copy
import re
from collections.abc import Iterator
from typing import Any

from perene.contract.steps import PropertyChange
from perene.engine.kubectl import Manifest

# What the server keeps for itself: it says nothing about what was asked for.
_SERVER_METADATA = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def cleaned(manifest: Manifest) -> Manifest:
    """An object without its status and what the server keeps in its metadata."""
    copied = copy.deepcopy({field: value for field, value in manifest.items() if field != "status"})
    for field in _SERVER_METADATA:
        copied["metadata"].pop(field, None)
    return copied


def changes(old: Any, new: Any, *, replaces: bool = False) -> tuple[PropertyChange, ...]:
    """Every leaf that differs; replaces: the change cannot be made in place."""
    end = "-replace" if replaces else ""
    return tuple(PropertyChange(path=path, kind=kind + end) for path, kind in _walk(old, new, ""))


def wanted_over(live: Any, wanted: Any) -> Any:
    """The live object with what is wanted laid over it: what an apply would make if the server allowed it."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return live | {field: wanted_over(live.get(field), value) for field, value in wanted.items()}
    if isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        return [wanted_over(before, after) for before, after in zip(live, wanted, strict=True)]
    return wanted


def _walk(old: Any, new: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for field in sorted(old.keys() | new.keys()):
            here = _below(path, field)
            if field not in new:
                yield here, "delete"
            elif field not in old:
                yield here, "add"
            else:
                yield from _walk(old[field], new[field], here)
    elif isinstance(old, list) and isinstance(new, list):
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from _walk(before, after, f"{path}[{index}]")
        for index in range(min(len(old), len(new)), max(len(old), len(new))):
            yield f"{path}[{index}]", "add" if len(new) > len(old) else "delete"
    elif old != new:
        yield path, "update"


def _below(path: str, field: str) -> str:
    if not _PLAIN_KEY.fullmatch(field):
        return f'{path}["{field}"]'
    return f"{path}.{field}" if path else field
