"""`perene repo`: make, check, list and rewind the backup repository."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from perene.backup import sets
from perene.backup.places import open_place
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The backup repository.")


@app.command()
def init(tier: sources.Tier = None, namespace: sources.Namespace = None, repository: sources.Url = None) -> None:
    """Make the repository, once."""
    open_repository(read_tier(tier, namespace), url=repository).init()


@app.command("list")
def list_sets(tier: sources.Tier = None, namespace: sources.Namespace = None, repository: sources.Url = None) -> None:
    """The whole sets on hand, oldest first."""
    for one in sets.on_hand(open_repository(read_tier(tier, namespace), url=repository).snapshots()):
        Console(highlight=False).print(f"{one.id}  {'proven' if one.proven else 'unproven'}")


@app.command()
def check(
    subset: Annotated[str, typer.Option(help="how much of the data is read: 5%, 1/7")] = "5%",
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Verify the repository's structure and a part of its data."""
    open_repository(read_tier(tier, namespace), url=repository).check(subset)


@app.command()
def rewind(
    to: Annotated[str, typer.Option(help="a moment before the deletion, like 2026-11-24T01:00:00+00:00")],
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Bring back what was deleted or overwritten since a time (S3 versions, GCS soft delete), then verify the repository."""
    opened = open_repository(read_tier(tier, namespace), url=repository)
    try:
        moment = datetime.fromisoformat(to)
    except ValueError:
        raise typer.BadParameter("is no time like 2026-11-24T01:00:00+00:00", param_hint="--to") from None
    if moment.tzinfo is None:
        raise typer.BadParameter("needs its offset from UTC, like +00:00", param_hint="--to")
    brought = open_place(opened.url).rewind(moment)
    Console(highlight=False).print(f"{len(brought)} objects brought back")
    opened.check()
