"""`perene drift`: what the cloud changed by itself."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from perene.engine import stacks
from perene.engine.change import Stack
from perene.safety import drift, gate, report

app = typer.Typer(add_completion=False)


@app.command()
def command(
    stack: Annotated[str, typer.Argument(help="the stack, like prod")],
    *,
    known: Annotated[
        Path | None, typer.Option(help="file with the fingerprint of the last report; the same drift is not reported again")
    ] = None,
    form: Annotated[Literal["text", "json", "markdown"], typer.Option("--format", help="how to print")] = "text",
) -> None:
    """A refresh preview through the gate. Exit codes as for perene gate; 0 when nothing new drifted."""
    verdict = gate.judge(Stack(stacks.project_root(), stack).drift(), now=datetime.now(UTC))
    fingerprint = drift.fingerprint(verdict)
    if known and known.exists() and known.read_text().strip() == fingerprint:
        typer.echo(f"{stack}: the drift that was reported before ({fingerprint[:12]})")
        raise typer.Exit(verdict.exit_code)
    typer.echo({"text": report.terminal, "markdown": report.markdown}.get(form, lambda each: each.to_json())(verdict), nl=False)
    if known:
        known.write_text(fingerprint + "\n")
    raise typer.Exit(verdict.exit_code)
