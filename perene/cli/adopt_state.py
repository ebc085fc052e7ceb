"""`perene adopt-state STACK`: from the embedded way to the Pulumi CLI."""

from typing import Annotated

import typer

from perene.audit.operation import record
from perene.engine import stacks
from perene.engine.adopt import adopt
from perene.engine.progress import Progress
from perene.engine.up import log_file

app = typer.Typer(add_completion=False)


@app.command()
def main(stack: Annotated[str, typer.Argument(help="the stack")]) -> None:
    """Import what the embedded way made into the CLI's state, ending in a preview without operations."""
    root = stacks.project_root()
    with record("adopt-state", stack, subject="state"):
        adopt(root, stack, Progress(log_file(root, f"adopt-{stack}")))
