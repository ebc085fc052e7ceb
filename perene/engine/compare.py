"""Two stacks' declarations side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

from perene.contract.plan import Comparison, PropertyDifference, ResourceDifference
from perene.engine.inventory import key
from perene.engine.program import Program, Registration, masked


def compare(here: Program, there: Program) -> Comparison:
    """What `there` declares differently. Resources are matched by their URNs without project and stack."""
    ours, theirs = ({key(resource.urn): resource for resource in program.resources} for program in (here, there))
    found = [
        *(ResourceDifference(key=name, found="only-here") for name in ours.keys() - theirs.keys()),
        *(ResourceDifference(key=name, found="only-there") for name in theirs.keys() - ours.keys()),
    ]
    same = 0
    for name in ours.keys() & theirs.keys():
        properties = tuple(differing(_comparable(ours[name], here), _comparable(theirs[name], there), ""))
        same += not properties
        found += [ResourceDifference(key=name, found="differs", properties=properties)] if properties else []
    return Comparison(stack=there.stack, same=same, differences=tuple(sorted(found, key=lambda difference: difference.key)))


def _comparable(resource: Registration, program: Program) -> Any:
    """Inputs and options without what must differ: the name of the stack in URNs."""
    return _without_stack({"inputs": masked(resource.inputs), "options": resource.options}, f"urn:pulumi:{program.stack}::")


def _without_stack(value: Any, prefix: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_stack(item, prefix) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_stack(item, prefix) for item in value]
    return value.replace(prefix, "urn:pulumi:*::") if isinstance(value, str) else value


def differing(here: Any, there: Any, path: str) -> Iterator[PropertyDifference]:
    """The properties in which two trees differ; lists of one length item by item."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for name in sorted(here.keys() | there.keys()):
            yield from differing(here.get(name), there.get(name), f"{path}.{name}" if path else name)
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for index, (one, other) in enumerate(zip(here, there, strict=True)):
            yield from differing(one, other, f"{path}[{index}]")
    elif here != there:
        yield PropertyDifference(path=path, here=here, there=there)
