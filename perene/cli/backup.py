"""`perene backup`: make one recovery set over all stores."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import cadence, sets
from perene.backup.progress import Stages
from perene.backup.run import ensure_repository, make_set
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources

app = typer.Typer(
    add_completion=False, help="Make one recovery set over all stores of the tier: dumped, fingerprinted, its manifest verified."
)


@app.command()
def backup(
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    *,
    when_due: Annotated[bool, typer.Option("--when-due", help="as scheduled: none while a weekly set is recent enough")] = False,
    json: sources.Json = False,
) -> None:
    """Make a recovery set now."""
    document = read_tier(tier, namespace)
    opened, stages = open_repository(document, url=repository), Stages()
    with record("backup", document, url=repository) as found:
        ensure_repository(opened, stages)
        recent = sets.on_hand(opened.snapshots(), document.proof_key) if when_due else []
        waiting = cadence.not_due(document.backups, recent, datetime.now(UTC))
        if waiting:
            found["made"] = waiting
            Console(highlight=False, soft_wrap=True).print(waiting, markup=False)
            return
        made = make_set(document, opened, stages=stages)
        found["set"] = made.id
    if json:
        typer.echo(made.to_json(), nl=False)
        return
    out = Console(highlight=False)
    out.print(f"recovery set {made.id}: {made.bytes / 1e6:.1f} MB in {len(made.stores)} stores, verified.")
    out.print("It is proven once `perene drill` has restored it.")
    for name, store in made.stores.items():
        out.print(f"  {name}: {store.kind} {store.version}, {', '.join(f'{part} {value} s' for part, value in store.seconds.items())}")
