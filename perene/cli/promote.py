"""`perene promote`: may this commit go on, and why or why not."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.chain import Chain, writer_name
from perene.audit.store import open_store
from perene.cli.gate import moment_of
from perene.contract.promotion import Decision
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import promotion, promotion_evidence

app = typer.Typer(add_completion=False)


@app.command()
def command(
    source: Annotated[str, typer.Argument(help="the stack that runs the commit, like staging")],
    target: Annotated[str, typer.Argument(help="the stack that is to get it, like prod")],
    *,
    commit: Annotated[str, typer.Option(help="the commit to promote")],
    evidence: Annotated[Path, typer.Option(help="directory: SOURCE.json, TARGET.json, rules.json, checklist.json, break-glass.json")],
    approval: Annotated[Path | None, typer.Option(help="the signed approval of the change in the target (perene approve)")] = None,
    keys: Annotated[Path, typer.Option(help="public keys of who may sign")] = Path("keys"),
    first: Annotated[bool, typer.Option("--first", help="nothing runs in the target yet, so it has no evidence")] = False,
    audit: Annotated[
        str | None, typer.Option(help="the backup repository's address or directory: an emergency is written to its audit record")
    ] = None,
    now: Annotated[str, typer.Option(help="the moment of the decision")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="the decision document")] = False,
) -> None:
    """Decide by signed evidence; every demand is listed. Exit 0: promote; 3: not now."""
    gathered = promotion_evidence.read(evidence, keys, source=source, target=target, commit=commit, approval=approval, first=first)
    decision = promotion.decide(gathered, moment_of(now))
    if decision.loud:
        _be_loud(decision, audit)
    if as_json:
        typer.echo(decision.to_json(), nl=False)
    else:
        _show(decision)
    raise typer.Exit(ExitCode.DONE if decision.promote else ExitCode.CANNOT_TELL)


def _show(decision: Decision) -> None:
    out = Console(soft_wrap=True, highlight=False)
    answer, first = "PROMOTE" if decision.promote else "NOT NOW", "  (first)" if decision.first else ""
    out.print(f"{answer}  {decision.commit[:12]}  {decision.source} -> {decision.target}{first}", markup=False)
    for demand in decision.demands:
        mark = "met    " if demand.met else "waived " if demand.waived else "NOT MET"
        out.print(f"  {mark}  {demand.name}: {demand.reason}", markup=False)
        if demand.waived:
            out.print(f"           {demand.waived}", markup=False)
    out.print(f"way back: {decision.way_back}", markup=False)


def _be_loud(decision: Decision, audit: str | None) -> None:
    """An emergency stands in the audit record before it takes effect, and on everybody's screen."""
    if audit is None:
        raise PereneError(
            "an emergency that nobody can see later is refused",
            where="--audit",
            fix="name the directory of the backup repository, where the audit record is kept",
            exit_code=ExitCode.CANNOT_TELL,
        )
    waived = {demand.name: demand.waived for demand in decision.demands if demand.waived}
    Chain(open_store(audit), writer_name()).append(
        "break-glass", stack=decision.target, subject=decision.commit, result="done" if decision.promote else "refused", details=waived
    )
    Console(stderr=True, soft_wrap=True).print(f"BREAK GLASS for {decision.target}: {', '.join(waived)}", style="bold red", markup=False)
