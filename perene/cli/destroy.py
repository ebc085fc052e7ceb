"""`perene destroy STACK`: remove a dev tier with its data, after its name was typed."""

from typing import Annotated

import typer

from perene.audit.operation import record
from perene.cli import terminal
from perene.engine import stacks
from perene.engine.destroy import destroy
from perene.engine.progress import Progress
from perene.engine.up import log_file

app = typer.Typer(add_completion=False)


@app.command()
def main(
    stack: Annotated[str, typer.Argument(help="the stack")],
    confirm: Annotated[str | None, typer.Option(help="the tier's name, instead of typing it")] = None,
) -> None:
    """Remove the tier and its data. Refused while a store is guarded: then nothing is touched."""
    root = stacks.project_root()
    progress = Progress(log_file(root, f"destroy-{stack}"))
    with record("destroy", stack, subject="everything"):
        destroy(root, stack, progress, lambda name, what: terminal.confirmed(name, confirm, what))
