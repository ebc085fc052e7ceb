"""`perene export SET FILE`: one recovery set as one encrypted archive."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import archive, sets
from perene.backup.places import Directory, Exists
from perene.backup.progress import Stages
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources
from perene.errors import PereneError
from perene.exit_codes import ExitCode

app = typer.Typer(add_completion=False, help="One recovery set as one encrypted archive (age, zstd, tar).")


@app.command()
def main(
    set_id: Annotated[str, typer.Argument(help="a set, or `newest`")],
    file: Annotated[Path, typer.Argument(help="a new file")],
    *,
    recipient: Annotated[
        list[str] | None, typer.Option(help="who can open it: age1..., or a file of such lines; left out: the tier's escrow recipient")
    ] = None,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Only the holder of the recipient's identity can open it, without the repository's password."""
    document = read_tier(tier, namespace)
    recipients = [line for one in recipient or [document.recipient or ""] for line in _lines(one)]
    if not recipients:
        raise PereneError("an archive for whom?", fix="--recipient age1... or a file of recipients", exit_code=ExitCode.USAGE)
    opened, stages = open_repository(document, url=repository), Stages()
    manifest = sets.load(opened, set_id)
    if file.exists():
        raise _taken(file)
    with record("export", document, url=repository, set=manifest.id, recipients=" ".join(recipients)):
        try:
            with archive.written(opened, manifest, recipients, stages) as stream:
                Directory(file.parent).create(file.name, stream)
        except Exists:
            raise _taken(file) from None
    Console(highlight=False, soft_wrap=True).print(
        f"{manifest.id} in {file}: {file.stat().st_size / 1e6:.1f} MB. `perene import {file} --identity FILE` brings it back.", markup=False
    )


def _lines(text: str) -> list[str]:
    file = Path(text)
    lines = file.read_text(encoding="utf-8").splitlines() if not text.startswith("age1") and file.is_file() else [text]
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _taken(file: Path) -> PereneError:
    return PereneError("it exists already", where=str(file), why="nothing is written over", fix="name a new file", exit_code=ExitCode.USAGE)
