"""`perene report`: the tier, its backups and restores on one page."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.contract.tier import TierDocument
from perene.engine import stacks
from perene.engine.tier import tier_of
from perene.exit_codes import ExitCode
from perene.health.sources import directory, repository
from perene.report.page import page, problems

app = typer.Typer(add_completion=False)


@app.command()
def report(
    stack: Annotated[str, typer.Argument(help="the tier, like dev")],
    *,
    evidence: Annotated[
        Path | None, typer.Option(help="directory with a copy of the manifests and drill records (default: beside the tier's repository)")
    ] = None,
    tier: Annotated[Path | None, typer.Option(help="the tier document (default: as this checkout declares it)")] = None,
    out: Annotated[Path, typer.Option(help="where the page is written")] = Path("report.html"),
) -> None:
    """Write a page that needs nothing but itself. Exit 6 when it says that something is not proven."""
    document = TierDocument.read(tier) if tier else tier_of(stacks.project_root(), stack)
    found, now = (directory(evidence) if evidence else repository())(document), time.time()
    out.write_text(page(document, found, now), encoding="utf-8")
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{out}: {len(found.sets)} sets, {len(found.drills)} drills", markup=False)
    bad = problems(document, found, now)
    for one in bad:
        console.print(one, markup=False)
    if bad:
        raise typer.Exit(ExitCode.NOT_PROVEN)
