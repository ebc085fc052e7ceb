"""`perene up STACK`: from nothing, or from anything that was interrupted, to a running dev tier with a proof."""

from typing import Annotated

import typer

from perene.cli import terminal
from perene.engine import judging, stacks
from perene.engine.progress import Progress
from perene.engine.up import Run, log_file, up

app = typer.Typer(add_completion=False)


@app.command()
def main(
    stack: Annotated[str, typer.Argument(help="the stack")] = "dev",
    context: Annotated[str | None, typer.Option(help="kubeconfig context; one that is not local has to be typed again")] = None,
    engine: Annotated[str | None, typer.Option(help="cli or embedded; default: the CLI where it is or can be had")] = None,
) -> None:
    """Bring a tier up: engine, cluster, images, secrets, stack, proof. Run it again after any interruption."""
    root = stacks.project_root()
    progress = Progress(log_file(root, f"up-{stack}"))
    up(
        Run(
            root=root,
            stack=stack,
            progress=progress,
            confirm=terminal.typed,
            judge=judging.judge(progress.show),
            context=context,
            engine_wish=terminal.one_of("--engine", engine, ("cli", "embedded")),
        )
    )
