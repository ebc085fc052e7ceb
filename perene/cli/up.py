"""`perene up STACK`: from nothing, or from anything that was interrupted, to a running dev tier with a proof."""

from typing import Annotated

import typer

from perene.audit.operation import record
from perene.cli import terminal
from perene.engine import approved, judging, stacks
from perene.engine.change import Stack
from perene.engine.progress import Progress
from perene.engine.up import Run, log_file, up

app = typer.Typer(add_completion=False)


@app.command()
def main(
    stack: Annotated[str, typer.Argument(help="the stack")] = "dev",
    context: Annotated[str | None, typer.Option(help="kubeconfig context; one that is not local has to be typed again")] = None,
    engine: Annotated[str | None, typer.Option(help="cli or embedded; default: the CLI where it is or can be had")] = None,
    first_backup: Annotated[
        bool, typer.Option(help="on a local cluster: a first set and its drill where there are none, after the tier is up")
    ] = True,
) -> None:
    """Bring a tier up: engine, cluster, images, secrets, stack, proof, first backup and drill. Run it again after any interruption.

    Exits with the job's own code when the tier is up and its first backup (1, 3) or drill (6) failed.
    """
    root = stacks.project_root()
    progress = Progress(log_file(root, f"up-{stack}"))
    with record("up", approved.audited_as(Stack(root, stack)), subject="everything", first=True):
        up(
            Run(
                root=root,
                stack=stack,
                progress=progress,
                confirm=terminal.typed,
                judge=judging.judge(progress.show),
                context=context,
                engine_wish=terminal.one_of("--engine", engine, ("cli", "embedded")),
                first_backup=first_backup,
            )
        )
