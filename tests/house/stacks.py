"""Every stack of the repository, its program run once per test session."""

from functools import cache
from pathlib import Path

from perene.engine import monitor
from perene.engine.program import Program
from perene.engine.stacks import stack_files

ROOT = Path(__file__).parents[2]
STACKS = stack_files(ROOT)


@cache
def program(stack: str) -> Program:
    """What a stack declares. Stacks share the program's modules, not its state."""
    return monitor.run(ROOT, stack, STACKS[stack])
