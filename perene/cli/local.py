"""`perene local`: a Kubernetes on this computer when there is none."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.exit_codes import ExitCode
from perene.local import cluster, images, report
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
def status(root: Root = HERE, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """What runs, where it listens, and how full each volume is. Exit code 3 when the cluster is not running."""
    found = report.status(Layout(root))
    if as_json:
        out.print(json.dumps(asdict(found), default=str), markup=False)
    else:
        for line in report.lines(found):
            out.print(line, markup=False)
    if not found.running:
        raise typer.Exit(ExitCode.CANNOT_TELL)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A component; none: the last lines of each.")] = "", root: Root = HERE, lines: int = 10
) -> None:
    """The components' logs."""
    for log, text in report.logs(Layout(root), name, lines).items():
        out.print(f"==> {log} <==\n{text}", markup=False)


@app.command()
def grow(
    claim: Annotated[str, typer.Argument(help="The claim's name.")],
    size: Annotated[str, typer.Argument(help="The new size, like 30Gi.")],
    root: Root = HERE,
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
) -> None:
    """Enlarge a volume while it is in use, and wait until it is."""
    with record("local-grow", Layout(root).name, subject=f"{namespace}/{claim}", size=size):
        told = cluster.grow(root, namespace, claim, size, Narrator())
    out.print(told, markup=False)


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
        raise typer.Exit(ExitCode.USAGE)
    narrator = Narrator()
    with record("local-destroy", name, subject="every volume"):
        cluster.destroy(root, narrator)
    narrator("done", "nothing of it is left")


@app.command()
def load(name: Annotated[str, typer.Argument(help="A folder of images/.")], root: Root = HERE) -> None:
    """Build an image unless cached, and load it into the running cluster."""
    narrator = Narrator()
    out.print(images.load(Layout(root), name, narrator), markup=False)
