"""What changed since another commit, as it is declared: for `perene plan --against-ref`."""

from pathlib import Path
from typing import NoReturn

import typer

from perene.engine import declared_change
from perene.safety import gate, report


def show_change(root: Path, stack: str, ref: str | None, change: Path | None, *, as_json: bool) -> NoReturn:
    """Print the verdict on the change between two commits' declarations, and end with its exit code."""
    document = declared_change.of_checkout(root, change, stack) if change else declared_change.against_ref(root, stack, ref or "main")
    verdict = gate.judge(document)
    typer.echo(verdict.to_json() if as_json else report.markdown(verdict), nl=False)
    raise typer.Exit(verdict.exit_code)
