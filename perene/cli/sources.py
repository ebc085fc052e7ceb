"""Options that backup, restore, drill, repo, retention and export share."""

from pathlib import Path
from typing import Annotated

import typer

Tier = Annotated[Path | None, typer.Option("--tier", help="the tier document as a file (in a job it is mounted)")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="the tier's namespace, to read the document from the cluster")]
Url = Annotated[str | None, typer.Option("--repository", help="another address of the same repository, like a mount on this computer")]
Json = Annotated[bool, typer.Option("--json", help="for machines")]
