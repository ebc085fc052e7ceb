"""`perene backup`: make one recovery set over all stores."""

import typer
from rich.console import Console

from perene.backup.progress import Stages
from perene.backup.run import ensure_repository, make_set
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources

app = typer.Typer(
    add_completion=False, help="Make one recovery set over all stores of the tier: dumped, fingerprinted, its manifest verified."
)


@app.command()
def backup(
    tier: sources.Tier = None, namespace: sources.Namespace = None, repository: sources.Url = None, json: sources.Json = False
) -> None:
    """Make a recovery set now."""
    document = read_tier(tier, namespace)
    opened, stages = open_repository(document, url=repository), Stages()
    ensure_repository(opened, stages)
    made = make_set(document, opened, stages=stages)
    if json:
        typer.echo(made.to_json(), nl=False)
        return
    out = Console(highlight=False)
    out.print(f"recovery set {made.id}: {made.bytes / 1e6:.1f} MB in {len(made.stores)} stores, verified.")
    out.print("It is proven once `perene drill` has restored it.")
    for name, store in made.stores.items():
        out.print(f"  {name}: {store.kind} {store.version}, {', '.join(f'{part} {value} s' for part, value in store.seconds.items())}")
