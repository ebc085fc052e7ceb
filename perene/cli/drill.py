"""`perene drill`: restore the newest set somewhere else, compare it, and sign what was found."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.backup.progress import Stages
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources
from perene.custody.resolve import resolve
from perene.drill.run import drill
from perene.errors import PereneError
from perene.exit_codes import ExitCode

app = typer.Typer(add_completion=False, help="Restore a set into a scratch PostgreSQL, compare it, damage a canary, sign the record.")


@app.command()
def main(
    set_id: Annotated[str, typer.Argument(help="a set, or `newest`")] = "newest",
    *,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    work: Annotated[Path | None, typer.Option(help="a directory with room for the set, twice")] = None,
    json: sources.Json = False,
) -> None:
    """Exit 6 when the set does not come back whole, the key does not open, a goal is missed, or damage goes unnoticed."""
    document = read_tier(tier, namespace)
    key = document.encryption_key
    if document.signing is None:
        raise PereneError(
            "the tier document names no signing key",
            why="an unsigned record proves nothing",
            fix="bring the tier up again",
            exit_code=ExitCode.CANNOT_TELL,
        )
    record = drill(
        document,
        open_repository(document, url=repository),
        set_id=set_id,
        key=(lambda: resolve(key.ref)) if key else None,
        signing_key=resolve(document.signing),
        work=work or Path(tempfile.gettempdir()),
        stages=Stages(),
    )
    if json:
        typer.echo(record.to_json(), nl=False)
    else:
        out = Console(highlight=False, soft_wrap=True)
        out.print(
            f"drill of {record.set}: {record.verdict}, {record.bytes / 1e6:.1f} MB restored and compared in {record.rto_seconds} s",
            markup=False,
        )
        for reason in record.reasons:
            out.print(f"  {reason}", markup=False)
        if record.damage:
            out.print(f"  damage on purpose ({record.damage.kind}): {record.damage.found_by or 'NOT NOTICED'}", markup=False)
    if record.verdict != "passed":
        raise typer.Exit(ExitCode.NOT_PROVEN)
