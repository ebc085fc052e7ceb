"""`perene health`: one verdict over every store, worst first, with the next command to type."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.contract.tier import TierDocument
from perene.engine import target
from perene.health import checks, lost
from perene.health.exporter import TIER_CONFIG, of_evidence
from perene.health.figures import Figures, of_samples, scraped
from perene.health.kube import ByKubectl, document, secret
from perene.health.sources import directory
from perene.health.verdict import Finding, State, exit_code, run
from perene.private import state

app = typer.Typer(add_completion=False)
SECONDS = 4.5
_LOOK = {
    State.BAD: ("red", "BAD"),
    State.UNKNOWN: ("magenta", "UNKNOWN"),
    State.WARNING: ("yellow", "WARNING"),
    State.FINE: ("green", "fine"),
}


@app.command()
def health(
    stack: Annotated[str, typer.Argument(help="the tier, like dev")],
    *,
    namespace: Annotated[str, typer.Option(help="its namespace, when it is not in the configuration of this checkout")] = "",
    context: Annotated[str, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")] = "",
    evidence: Annotated[Path | None, typer.Option(help="read manifests and drill records here instead of asking the exporter")] = None,
    is_lost: Annotated[bool, typer.Option("--lost", help="data seems lost: volumes, mounts, owners, log")] = False,
    everything: Annotated[bool, typer.Option("--all", help="list what is fine too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Look at every store, side by side, for at most five seconds. Exit 0 fine, 1 bad, 3 cannot tell."""
    began, root = time.monotonic(), Path.cwd()
    where = target.adopt_context(root, stack, context) if context else target.of_stack(root, stack)
    client = where.client()
    api = ByKubectl(client)
    found_in = namespace or _namespace(root, stack)
    config = document(api, f"/api/v1/namespaces/{found_in}/configmaps/{TIER_CONFIG}")
    tier_document = TierDocument.parse(config["data"]["tier.json"], TIER_CONFIG)

    def figures() -> Figures:
        if evidence:
            return of_samples(of_evidence(tier_document, directory(evidence)(tier_document)))
        return scraped(api, tier_document.namespace)

    tier = checks.Tier(
        document=tier_document,
        api=api,
        resolve=lambda ref: secret(api, ref),
        figures=figures,
        history=state(root, "stacks", stack) / "volumes.json",
    )

    def inside(pod: str, container: str, command: list[str]) -> str:
        return api.run(tier_document.namespace, pod, container, command)

    table = lost.diagnosis(tier, inside) if is_lost else checks.checks(tier)
    findings = run(table, SECONDS)
    seconds = time.monotonic() - began
    if as_json:
        typer.echo(json.dumps({"stack": stack, "seconds": round(seconds, 2), "findings": [_plain(one) for one in findings]}, indent=2))
    else:
        _print(stack, findings, seconds, everything=everything or is_lost)
    raise typer.Exit(exit_code(findings))


def _namespace(root: Path, stack: str) -> str:
    from perene.engine.tier import tier_of  # noqa: PLC0415 - runs the program, which costs a second; --namespace spares it

    return tier_of(root, stack).namespace


def _plain(finding: Finding) -> dict[str, str]:
    return {"state": finding.state.name.lower(), "store": finding.store, "check": finding.check, "what": finding.what, "next": finding.next}


def _print(stack: str, findings: list[Finding], seconds: float, *, everything: bool) -> None:
    out = Console(soft_wrap=True, highlight=False)
    worst = max((finding.state for finding in findings), default=State.UNKNOWN)
    counts = [(kind, sum(finding.state is kind for finding in findings)) for kind in sorted(State, reverse=True)]
    told = ", ".join(f"{count} {_LOOK[kind][1].lower()}" for kind, count in counts if count)
    colour, word = _LOOK[worst]
    out.print(f"[bold {colour}]{stack}: {word.upper()}[/]  {told}  ({seconds:.1f} s)")
    for finding in findings:
        if finding.state is State.FINE and not everything:
            continue
        colour, word = _LOOK[finding.state]
        out.print(f"[{colour}]{word:>8}[/]  ", end="")
        out.print(f"{finding.store or 'tier'}: {finding.what}", markup=False)
        if finding.next:
            out.print(f"          next: {finding.next}", markup=False, style="bold")
    if not everything and any(finding.state is State.FINE for finding in findings):
        fine = sorted({f"{finding.store or 'tier'} {finding.check}" for finding in findings if finding.state is State.FINE})
        out.print("[green]    fine[/]  ", end="")
        out.print(", ".join(fine), markup=False)
