"""Findings on a terminal: worst first, each with the next command; what is fine in one line."""

import json

import typer
from rich.console import Console

from perene.health.verdict import Finding, State

_LOOK = {
    State.BAD: ("red", "BAD"),
    State.UNKNOWN: ("magenta", "UNKNOWN"),
    State.WARNING: ("yellow", "WARNING"),
    State.FINE: ("green", "fine"),
}


def as_json(stack: str, findings: list[Finding], seconds: float) -> None:
    """Everything, for machines."""
    plain = [
        {"state": one.state.name.lower(), "store": one.store, "check": one.check, "what": one.what, "next": one.next} for one in findings
    ]
    typer.echo(json.dumps({"stack": stack, "seconds": round(seconds, 2), "findings": plain}, indent=2))


def as_text(stack: str, findings: list[Finding], seconds: float, *, everything: bool) -> None:
    """For somebody who was woken at three in the morning."""
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
    fine = sorted({f"{one.store or 'tier'} {one.check}" for one in findings if one.state is State.FINE})
    if fine and not everything:
        out.print("[green]    fine[/]  ", end="")
        out.print(", ".join(fine), markup=False)
