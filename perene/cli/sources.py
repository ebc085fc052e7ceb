"""Options that backup, restore, drill, repo, retention and export share."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Tier = Annotated[Path | None, typer.Option("--tier", help="the tier document as a file (in a job it is mounted)")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="the tier's namespace, to read the document from the cluster")]
Url = Annotated[str | None, typer.Option("--repository", help="another address of the same repository, like a mount on this computer")]
Json = Annotated[bool, typer.Option("--json", help="for machines")]
Work = Annotated[Path | None, typer.Option("--work", help="a directory with room for the set, twice; default: the temporary directory")]
Identity = Annotated[
    Path, typer.Option("--identity", exists=True, dir_okay=False, help="the age identity file that opens the archive, kept offline")
]


def moment(text: str, option: str) -> datetime:
    """A moment with its offset from UTC, as an option gives it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("is no time like 2026-11-24T01:00:00+00:00", param_hint=option) from None
    if found.tzinfo is None:
        raise typer.BadParameter("needs its offset from UTC, like +00:00", param_hint=option)
    return found
