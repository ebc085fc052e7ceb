"""`perene audit`: what was done to data and guards, and whether the record of it is whole."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from perene.audit.chain import heads, lines, verify
from perene.audit.store import DirectoryStore
from perene.contract.audit import AuditHead
from perene.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, add_completion=False)
Directory = Annotated[Path, typer.Argument(help="the backup repository's directory (its `audit` folder is read)")]
AsJson = Annotated[bool, typer.Option("--json", help="for machines")]


@app.command("verify")
def verify_command(
    directory: Directory,
    anchor: Annotated[list[Path] | None, typer.Option(help="a head that was anchored in a manifest or in the sealed copy")] = None,
    as_json: AsJson = False,
) -> None:
    """Find a removed, changed, reordered or cut-off line; exit 6 when there is one."""
    store = DirectoryStore(directory)
    findings = verify(store, [AuditHead.read(path) for path in anchor or ()])
    out = Console(soft_wrap=True, highlight=False)
    if as_json:
        out.print_json(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            out.print(f"{finding.kind}: {finding.writer}: {finding.what}", markup=False)
        ends = ", ".join(f"{head.writer} {head.sequence}" for head in heads(store)) if not findings else ""
        out.print(f"{len(findings)} findings" if findings else f"whole: {ends or 'no line yet'}")
        if not anchor:
            out.print("no anchor was given: lines cut off at the end cannot be noticed (--anchor FILE)")
    if findings:
        raise typer.Exit(ExitCode.NOT_PROVEN)


@app.command("show")
def show(directory: Directory, as_json: AsJson = False) -> None:
    """Every line by time: who did what to which data, and how it ended."""
    found = lines(DirectoryStore(directory))
    out = Console(soft_wrap=True, highlight=False)
    if as_json:
        out.print_json(json.dumps([line.model_dump(mode="json") for line in found]))
        return
    table = Table("when", "who", "where", "what", "result", box=None)
    for line in found:
        table.add_row(line.at[:19], line.actor, line.stack, f"{line.operation} {line.subject}", line.result)
    out.print(table)


@app.command("head")
def head(directory: Directory) -> None:
    """The heads of all chains, one document per line, to be anchored elsewhere."""
    for one in heads(DirectoryStore(directory)):
        typer.echo(json.dumps(one.model_dump(mode="json")))
