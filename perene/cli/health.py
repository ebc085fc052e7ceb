"""`perene health`: one verdict over every store, worst first, with the next command to type."""

import time
from pathlib import Path
from typing import Annotated

import typer

from perene.cli import findings as tell
from perene.cli.tier_of_cluster import running
from perene.health import checks, lost
from perene.health.verdict import exit_code, run

app = typer.Typer(add_completion=False)
SECONDS = 4.5
Stack = Annotated[str, typer.Argument(help="the tier, like dev")]
Namespace = Annotated[str, typer.Option(help="its namespace; spares running the program of this checkout to find it")]
Context = Annotated[str, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")]
Evidence = Annotated[Path | None, typer.Option(help="read manifests and drill records here instead of asking the exporter")]


@app.command()
def health(
    stack: Stack,
    *,
    namespace: Namespace = "",
    context: Context = "",
    evidence: Evidence = None,
    is_lost: Annotated[bool, typer.Option("--lost", help="data seems lost: volumes, mounts, owners, log")] = False,
    everything: Annotated[bool, typer.Option("--all", help="list what is fine too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Look at every store, side by side, for at most five seconds. Exit 0 fine, 1 bad, 3 cannot tell."""
    tier, api = running(stack, namespace=namespace, context=context, evidence=evidence)

    def inside(pod: str, container: str, command: list[str]) -> str:
        return api.run(tier.document.namespace, pod, container, command)

    began = time.monotonic()
    found = run(lost.diagnosis(tier, inside) if is_lost else checks.checks(tier), SECONDS)
    seconds = time.monotonic() - began
    if as_json:
        tell.as_json(stack, found, seconds)
    else:
        tell.as_text(stack, found, seconds, everything=everything or is_lost)
    raise typer.Exit(exit_code(found))
