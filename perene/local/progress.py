"""How a long operation tells what it does and what it waits for."""

from typing import Protocol


class Progress(Protocol):
    """Called at each change: the stage, and what is being done or waited for in it."""

    def __call__(self, stage: str, waiting: str) -> None: ...


def silent(stage: str, waiting: str) -> None:
    """For callers that show nothing."""
