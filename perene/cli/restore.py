"""`perene restore SET`: bring a set back beside what is there, compare it, and name the differences."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.backup import sets
from perene.backup.progress import Stages
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources
from perene.exit_codes import ExitCode
from perene.restore import run

app = typer.Typer(add_completion=False, help="Bring a recovery set back into a new place, and compare it.")


@app.command()
def main(
    set_id: Annotated[str, typer.Argument(help="a set, or `newest`")],
    *,
    store: Annotated[str | None, typer.Option(help="only this store")] = None,
    to: Annotated[Path | None, typer.Option(help="a new directory for stores of files")] = None,
    work: Annotated[Path | None, typer.Option(help="a directory with room for the largest dump")] = None,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Databases come back as NAME__SETDATE on the same server. Exit 6 when anything differs."""
    document = read_tier(tier, namespace)
    opened = open_repository(document, url=repository)
    place = work or Path(tempfile.gettempdir())
    results = run.beside(sets.load(opened, set_id), opened, only=store, to=to, work=place, stages=Stages())
    out = Console(highlight=False, soft_wrap=True)
    failed = False
    for name, result in results.items():
        short = [check for check in result.checks if check.found < check.at_least]
        failed = failed or bool(result.differences or short)
        out.print(f"{name}: {'differs' if result.differences else 'the same as it was backed up'}, {result.seconds}", markup=False)
        for difference in result.differences:
            out.print(f"  {difference}", markup=False)
        for check in short:
            out.print(f"  {check.count}: {check.found} rows, at least {check.at_least} are wanted", markup=False)
    if failed:
        raise typer.Exit(ExitCode.NOT_PROVEN)
