"""`perene local`: a Kubernetes on this computer when there is none."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.local import cluster, images
from perene.local.layout import Layout

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A real single-node Kubernetes on this computer (needs root).")
out, err = (Console(soft_wrap=True, highlight=False, stderr=stderr) for stderr in (False, True))
Root = Annotated[Path, typer.Option("--root", help="The checkout the cluster belongs to.", file_okay=False, exists=True)]
HERE = Path()


class Narrator:
    """Progress lines on stderr: elapsed seconds, stage, what is waited for."""

    def __init__(self) -> None:
        self.begun = time.monotonic()

    def __call__(self, stage: str, waiting: str) -> None:
        err.print(f"[{time.monotonic() - self.begun:6.1f} s] {stage}: {waiting}", markup=False)


@app.command()
def up(root: Root = HERE) -> None:
    """Bring the cluster up: built once, Ready, with the storage class `perene-local`. A second time changes nothing."""
    narrator = Narrator()
    found = cluster.up(root, narrator)
    narrator("done", f"node Ready, storage class {found.storage_class}")
    out.print(f"export KUBECONFIG={found.kubeconfig}", markup=False)
    out.print(f"kubectl: {found.programs / 'kubectl'}", markup=False)


@app.command()
def stop(root: Root = HERE) -> None:
    """Stop the cluster; the data stays."""
    narrator = Narrator()
    narrator("done", "stopped, the data stays" if cluster.stop(root, narrator) else "it was not running")


@app.command()
def destroy(
    root: Root = HERE, yes: Annotated[str, typer.Option("--yes", metavar="NAME", help="The cluster's name, for scripts.")] = ""
) -> None:
    """Remove the cluster and all its data."""
    name = Layout(root).name
    typed = yes or typer.prompt(f"This removes every volume of {name}. Type its name to go on")
    if typed != name:
        err.print(f"{typed!r} is not {name!r}: nothing was removed", markup=False)
        raise typer.Exit(2)
    narrator = Narrator()
    cluster.destroy(root, narrator)
    narrator("done", "nothing of it is left")


@app.command()
def load(name: Annotated[str, typer.Argument(help="A folder of images/.")], root: Root = HERE) -> None:
    """Build an image unless cached, and load it into the running cluster."""
    narrator = Narrator()
    out.print(images.load(Layout(root), name, narrator), markup=False)
