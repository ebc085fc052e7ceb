"""`perene alerts`: what is watched, its rules for Prometheus, and its runbooks."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from perene.cli import findings
from perene.cli.tier_of_cluster import running
from perene.contract.tier import TierDocument
from perene.health import protection
from perene.health.runbooks import runbooks
from perene.health.signals import LOG_SIGNALS, SIGNALS, prometheus_groups, rules_for, targets_of
from perene.health.verdict import exit_code, run

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def list_signals() -> None:
    """Every signal: severity, what it watches, after how long it fires."""
    table = Table("signal", "severity", "stores", "after", "runbook", box=None)
    for signal in SIGNALS:
        table.add_row(signal.name, signal.severity, " ".join(signal.kinds), f"{signal.hold} min", signal.runbook)
    for event in LOG_SIGNALS:
        table.add_row(event.name, event.severity, " ".join(event.kinds), "at once", event.runbook)
    Console(soft_wrap=True, highlight=False).print(table)


@app.command()
def check(
    stack: Annotated[str, typer.Argument(help="the tier, like dev")],
    *,
    namespace: Annotated[str, typer.Option(help="its namespace")] = "",
    context: Annotated[str, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")] = "",
) -> None:
    """Whether anybody would be told: every rule is in the cluster, and the exporter answers in full."""
    tier, _ = running(stack, namespace=namespace, context=context, evidence=None)
    began = time.monotonic()
    found = run(protection.watching(tier), 4.5)
    findings.as_text(stack, found, time.monotonic() - began, everything=True)
    raise typer.Exit(exit_code(found))


@app.command("rules")
def rules(tier: Annotated[Path, typer.Argument(help="the tier document (`tier.json`)")]) -> None:
    """The Prometheus rule file of a tier, on stdout."""
    document = TierDocument.read(tier)
    typer.echo(json.dumps(prometheus_groups(rules_for(targets_of(document.model_dump(mode="json"))), document.stack), indent=1))


@app.command("runbooks")
def write_runbooks(directory: Annotated[Path, typer.Argument(help="where they are written (docs/runbooks)")]) -> None:
    """Write the runbook of every signal."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in runbooks().items():
        (directory / name).write_text(text)
