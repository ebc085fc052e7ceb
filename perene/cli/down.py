"""`perene down`: stop the local cluster; the data stays."""

import typer
from rich.console import Console

from perene.engine import stacks
from perene.engine.lock import alone
from perene.engine.progress import Progress
from perene.engine.up import log_file
from perene.local import cluster

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Stop the checkout's local cluster in order. Volumes, secrets and everything else stay; `perene up` goes on from there."""
    root = stacks.project_root()
    with alone(root, "perene down"):
        stopped = cluster.stop(root, Progress(log_file(root, "down")).local)
    text = "stopped; the data stays under .perene/" if stopped else "nothing to stop: the checkout's own cluster does not run"
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
