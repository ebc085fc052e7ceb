"""`perene import FILE`: an archive of `perene export`, or a sealed copy, into the tier's repository."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import archive
from perene.backup.progress import Stages
from perene.backup.run import ensure_repository
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources

app = typer.Typer(add_completion=False, help="An archive into the tier's repository, as a set that no drill has proven yet.")


@app.command()
def main(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what `perene export` wrote")],
    *,
    identity: sources.Identity,
    work: sources.Work = None,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Exit 6, and nothing is written, when the archive does not open, is truncated or altered."""
    document = read_tier(tier, namespace)
    opened, stages = open_repository(document, url=repository), Stages()
    place, now = work or Path(tempfile.gettempdir()), datetime.now(UTC).isoformat(timespec="seconds")
    with record("import", document, url=repository, first=True, file=file.name) as found:
        ensure_repository(opened, stages)
        brought = archive.import_file(file, identity, opened, work=place, stages=stages, now=now)
        found["set"] = brought.id
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{brought.id} of {brought.stack} is in the repository, imported and not proven.", markup=False)
    out.print(f"`perene restore {brought.id}` brings it back, `perene drill {brought.id}` proves it.", markup=False)
