"""`perene audit`: what was done to data and guards, and whether the record of it is whole."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from perene.audit import anchors
from perene.audit.chain import heads, lines, verify
from perene.audit.store import Store, open_store
from perene.backup.tier import read_tier
from perene.cli import sources
from perene.errors import PereneError
from perene.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, add_completion=False)
Where = Annotated[
    str | None, typer.Argument(help="the repository's address or directory, or a checkout's .perene (default: the tier's repository)")
]
AsJson = Annotated[bool, typer.Option("--json", help="for machines")]


def _store(where: str | None, tier: Path | None, namespace: str | None) -> Store:
    if where:
        return open_store(where)
    document = read_tier(tier, namespace)
    kept = document.repository
    if kept is None or (kept.kind == "volume" and not Path(kept.url).is_dir()):
        raise PereneError(
            "the audit of this tier cannot be seen from here",
            where=kept.url if kept else document.stack,
            why="its repository is on a volume of the cluster" if kept else "it has no repository",
            fix=f"kubectl -n {document.namespace} exec deployment/perene-exporter -- perene audit show {kept.url}"
            if kept
            else "perene audit show .perene: what this checkout's own commands did",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return open_store(kept.url)


@app.command("verify")
def verify_command(
    where: Where = None,
    *,
    anchor: Annotated[
        list[Path] | None, typer.Option(help="a head (perene audit head), or a manifest that was opened from the sealed copy")
    ] = None,
    password: Annotated[bool, typer.Option(help="open the repository: its manifests are anchors that nobody without it can forge")] = False,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Find a removed, changed, reordered or cut-off line; exit 6 when there is one."""
    store = _store(where, tier, namespace)
    found = [*anchors.beside(store), *(head for path in anchor or () for head in anchors.of_file(path))]
    if password:
        found += anchors.inside(read_tier(tier, namespace), url=where)
    findings = verify(store, found)
    out = Console(soft_wrap=True, highlight=False)
    if as_json:
        out.print_json(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            out.print(f"{finding.kind}: {finding.writer}: {finding.what}", markup=False)
        ends = ", ".join(f"{head.writer} {head.sequence}" for head in heads(store)) if not findings else ""
        out.print(f"{len(findings)} findings" if findings else f"whole: {ends or 'no line yet'}")
        anchored = {head.writer: max(one.sequence for one in found if one.writer == head.writer) for head in found}
        told = ", ".join(f"{writer} up to {sequence}" for writer, sequence in sorted(anchored.items()))
        out.print(f"anchored: {told}" if told else "nothing is anchored yet: lines cut off at the end cannot be noticed", markup=False)
    if findings:
        raise typer.Exit(ExitCode.NOT_PROVEN)


@app.command("show")
def show(where: Where = None, *, tier: sources.Tier = None, namespace: sources.Namespace = None, as_json: AsJson = False) -> None:
    """Every line by time: who did what to which data, and how it ended."""
    found = lines(_store(where, tier, namespace))
    out = Console(soft_wrap=True, highlight=False)
    if as_json:
        out.print_json(json.dumps([line.model_dump(mode="json") for line in found]))
        return
    table = Table("when", "who", "where", "what", "result", "details", box=None)
    for line in found:
        details = ", ".join(f"{key} {value}" for key, value in line.details.items())
        table.add_row(line.at[:19], line.actor, line.stack, f"{line.operation} {line.subject}", line.result, details)
    out.print(table)


@app.command("head")
def head(where: Where = None, *, tier: sources.Tier = None, namespace: sources.Namespace = None) -> None:
    """The heads of all chains, one document per line, to be anchored elsewhere."""
    for one in heads(_store(where, tier, namespace)):
        typer.echo(json.dumps(one.model_dump(mode="json")))
