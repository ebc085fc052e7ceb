"""Every stack of the repository, its program run once per test session."""

from functools import cache
from pathlib import Path

from perene.engine import monitor
from perene.engine.program import Program, Registration
from perene.engine.stacks import stack_files

ROOT = Path(__file__).parents[2]
STACKS = stack_files(ROOT)


@cache
def program(stack: str) -> Program:
    """What a stack declares. Stacks share the program's modules, not its state."""
    return monitor.run(ROOT, stack, STACKS[stack])


def named_by_content(resource: Registration) -> bool:
    """A Job or what only it reads: replaced whenever its content changes, and without data."""
    labels = resource.inputs.get("metadata", {}).get("labels", {}) if resource.custom else {}
    return resource.type in {"kubernetes:batch/v1:Job", "kubernetes:core/v1:ConfigMap"} and "perene.dev/named-by-content" in labels
