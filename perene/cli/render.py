"""`perene render`: the tier's Kubernetes objects as plain manifests."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.engine import manifests, monitor, render, stacks

app = typer.Typer(add_completion=False)


@app.command()
def command(
    stack: Annotated[str, typer.Argument(help="the stack, like dev or vision-prod")],
    directory: Annotated[Path, typer.Argument(help="where the manifests go; made when it is missing")],
) -> None:
    """Write the stack's Kubernetes objects as manifests, one file each, in the order in which they can be applied."""
    program = monitor.run(stacks.project_root(), stack)
    written = render.write(manifests.manifests(program), directory)
    others = sum(1 for resource in program.resources if resource.custom and resource.package not in {"kubernetes", "pulumi"})
    out = Console(soft_wrap=True, highlight=False)
    out.print(f"{len(written)} manifests in {directory}: kubectl apply --server-side -f {directory}", markup=False)
    if others:
        out.print(f"{others} resources are no objects of a cluster and are not among them: pulumi up -s {stack}", markup=False)
