"""The runbooks, written from the signals, so that page and runbook never disagree."""

from string import Template

from perene.health.catalog.types import LogSignal, Signal, limit
from perene.health.signals import LOG_SIGNALS, SIGNALS

SETTINGS = {
    "disk": "`alerts.disk`",
    "disk-warning": "all but the store's `freeSpace`",
    "connections": "`alerts.connections`",
    "slow-query": "the store's `slowQuery`",
    "backup-age": "a day, the window and an hour",
    "drill-age": "`backups.drill.every` and six hours",
    "proof-age": "twice `backups.drill.every` and six hours",
    "seal-age": "`backups.sealedCopy.every` and a day",
}
_WORDS = {"stack": "STACK", "store": "STORE"}
_SEVERITY = {"critical": "critical: it wakes someone", "warning": "warning: it is read in working hours"}


def _page(signal: Signal | LogSignal) -> str:
    steps = "\n".join(f"{number}. {Template(step).substitute(_WORDS)}" for number, step in enumerate(signal.first, 1))
    if isinstance(signal, Signal):
        setting = f", or what the configuration says: {SETTINGS[signal.setting]}" if signal.setting else ""
        source = f"It fires when this has been true for {signal.hold} minutes (threshold {signal.threshold:g}{setting}):\n\n"
        # the template itself: `$claim`, `$own` and the like are bound per store
        source += "```\n" + "\n".join(line.strip() for line in signal.expression.strip().splitlines()) + "\n```"
        clears = "It clears by itself as soon as the expression is false."
    else:
        source = (
            "It fires on a log entry that matches:\n\n```\n"
            + "\n".join(line.strip() for line in signal.filter.strip().splitlines())
            + "\n```"
        )
        clears = "It closes by itself half an hour after the last such entry."
    words = _WORDS | ({"limit": limit(signal, signal.threshold)} if isinstance(signal, Signal) else {})
    summary = Template(signal.summary).substitute(words)
    return f"""# {signal.alert}

{summary[0].upper()}{summary[1:]}. Severity {_SEVERITY[signal.severity]}.

## What it means for data

{signal.meaning}

## First

{steps}

## Then

{Template(signal.then).substitute(_WORDS)}

## Why it fired, when it clears

{source}

{clears}
"""


def runbooks() -> dict[str, str]:
    """File name -> Markdown, one for every signal."""
    every: tuple[Signal | LogSignal, ...] = (*SIGNALS, *LOG_SIGNALS)
    return {f"{signal.name}.md": _page(signal) for signal in every}
