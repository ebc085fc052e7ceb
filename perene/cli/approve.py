"""`perene approve`: another person's signed yes to exactly one previewed change."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from perene.audit.operation import record
from perene.cli.signing_key import read_key
from perene.contract.values import Duration
from perene.engine import approved, stacks
from perene.engine.change import Stack
from perene.private import write_private
from perene.safety import report

app = typer.Typer(add_completion=False)


@app.command()
def command(
    stack: Annotated[str, typer.Argument(help="the stack, like prod")],
    *,
    out: Annotated[Path, typer.Option(help="where the signed plan goes")],
    approver: Annotated[str, typer.Option("--as", help="whose key signs: the name of keys/NAME.pub")],
    key: Annotated[str, typer.Option(help="the private key: a file, or gcp:PROJECT/SECRET, or env:VARIABLE")],
    valid: Annotated[str, typer.Option(help="how long it counts")] = "24h",
    waived: Annotated[Path, typer.Option("--waivers", help="directory of waivers")] = Path("waivers"),
    keys: Annotated[Path, typer.Option(help="public keys of who may sign")] = Path("keys"),
) -> None:
    """Preview, judge, show, and sign: commit, configuration, providers, state and steps."""
    now, chosen = datetime.now(UTC), Stack(stacks.project_root(), stack)
    verdict = approved.judged(chosen, now, waived, keys)
    typer.echo(report.terminal(verdict), nl=False, err=True)
    span = timedelta(seconds=Duration.parse(valid).seconds)
    tier, first = approved.audited_as(chosen), not approved.has_data(chosen)
    with record("approve", tier, subject=verdict.effect, first=first, approver=approver, waived=approved.waived(verdict)):
        signed = approved.approve(chosen, verdict, private_key=read_key(key), approver=approver, now=now, valid=span)
        write_private(out, signed.to_json())
    typer.echo(f"approved until {(now + span).isoformat()}: perene apply {out}")
