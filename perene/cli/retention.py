"""`perene retention`: which sets are kept, what goes, and what would have been kept."""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup.keep import apply, make_room
from perene.backup.progress import Stages
from perene.backup.simulate import replay
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Which sets are kept.")
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would go, and change nothing")]


WeeklyFrom = Annotated[int | None, typer.Option(help="the day on which the databases outgrow the size for daily sets")]


@app.command("apply")
def apply_rules(
    tier: sources.Tier = None, namespace: sources.Namespace = None, repository: sources.Url = None, dry_run: DryRun = False
) -> None:
    """Remove what the tier's keep rules no longer hold. Nothing goes while backups are failing."""
    document = read_tier(tier, namespace)
    opened, now = open_repository(document, url=repository), datetime.now(UTC)
    if dry_run:
        done = apply(document, opened, now=now, dry_run=True, stages=Stages())
    else:
        with record("retention-apply", document, url=repository) as found:
            done = apply(document, opened, now=now, dry_run=False, stages=Stages())
            found["removed"] = ", ".join(one.id for one in done.remove) or "nothing"
    out = Console(highlight=False)
    for name, reasons in sorted(done.keep.items()):
        out.print(f"keep    {name}  {', '.join(reasons)}")
    for one in done.remove:
        out.print(f"{'would remove' if dry_run else 'removed'}  {one.id}")
    if done.held:
        out.print(f"nothing is removed: {done.held}. When space is needed: `perene retention free`.")


@app.command()
def free(
    count: Annotated[int, typer.Argument(min=1, help="how many sets may go")],
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    dry_run: DryRun = False,
) -> None:
    """Make room: remove the oldest sets, never the newest proven one nor the newest two."""
    document = read_tier(tier, namespace)
    opened = open_repository(document, url=repository)
    if dry_run:
        gone = make_room(document, opened, count, dry_run=True, stages=Stages())
    else:
        with record("retention-free", document, url=repository) as found:
            gone = make_room(document, opened, count, dry_run=False, stages=Stages())
            found["removed"] = ", ".join(one.id for one in gone) or "nothing"
    for one in gone:
        Console(highlight=False).print(f"{'would remove' if dry_run else 'removed'}  {one.id}")


@app.command()
def simulate(days: int = 400, daily: int = 7, weekly: int = 4, monthly: int = 0, seed: int = 1, *, weekly_from: WeeklyFrom = None) -> None:
    """Replay days with missed, late, failed and duplicated runs, and show what is on hand on each."""
    out = Console(highlight=False)
    fates: Counter[str] = Counter()
    for day in replay({"daily": daily, "weekly": weekly, "monthly": monthly}, days, seed, weekly_from=weekly_from):
        fates[day.fate] += 1
        ages = " ".join(str((day.date.date() - one.time.date()).days) for one in reversed(day.on_hand))
        out.print(f"{day.date:%Y-%m-%d} {day.fate:<10} {len(day.on_hand):>2} sets, days old: {ages}{f'  ({day.held})' if day.held else ''}")
    out.print(", ".join(f"{fate} {count}" for fate, count in fates.most_common()))
