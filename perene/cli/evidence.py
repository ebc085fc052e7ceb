"""`perene evidence`: what a promotion may rest on, gathered and signed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from perene.cli.signing_key import read_key
from perene.contract.approval import Signed, StackEvidence
from perene.engine import evidence, stacks
from perene.engine.change import Stack
from perene.safety import signing
from perene.safety.drills import proven_drills

app = typer.Typer(add_completion=False)


@app.command()
def command(
    stack: Annotated[str, typer.Argument(help="the stack, like staging")],
    *,
    out: Annotated[Path, typer.Option(help="where the signed evidence goes; what lies there says since when the commit runs")],
    signer: Annotated[str, typer.Option("--as", help="whose key signs: the name of keys/NAME.pub")],
    key: Annotated[str, typer.Option(help="the private key: a file, gcp:PROJECT/SECRET, or env:VARIABLE")],
    drills: Annotated[Path, typer.Option(help="directory of drill records")],
    prometheus: Annotated[str, typer.Option(help="address of Prometheus")],
    drill_key: Annotated[Path | None, typer.Option(help="public key of the drills; left out: keys/STACK.pub")] = None,
    keys: Annotated[Path, typer.Option(help="public keys of who may sign")] = Path("keys"),
    sets: Annotated[
        Path | None, typer.Option(help="directory of recovery sets' manifests: the newest tells what each database has of its migrations")
    ] = None,
) -> None:
    """Look at the stack: its commit, soak time, proven drills, drift and firing alerts."""
    before = signing.verified(Signed.read(out), StackEvidence, keys, str(out)) if out.exists() else None
    found = evidence.gather(
        Stack(stacks.project_root(), stack),
        now=datetime.now(UTC),
        before=before,
        drills=proven_drills(drills, stack, drill_key or keys / f"{stack}.pub"),
        alerts=evidence.firing(prometheus, stack),
        ledgers=evidence.ledgers(sets, stack) if sets else {},
    )
    out.write_text(signing.sign(found, read_key(key), signer).to_json())
    typer.echo(found.to_json(), nl=False)
