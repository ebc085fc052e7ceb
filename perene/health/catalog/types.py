"""What a signal is: one PromQL expression with its threshold, duration, labels, meaning, first steps and proof by example. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Literal

Severity = Literal["critical", "warning"]
RUNBOOKS = "docs/runbooks"
SHARES = frozenset({"disk", "disk-warning", "connections"})
# compound names of an expression -> the target values they are made of
COMPOUND: Mapping[str, tuple[str, ...]] = {
    "tier": (),
    "own": (),
    "claim": ("namespace", "volume"),
    "pods": ("namespace", "workload"),
    "instance": ("database_id",),
}


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Series that prove the signal. Minutes count from the first evaluation; each series has one level (Example).

    series: selectors with the target's values; over: just beyond the threshold; below: just inside it; good: after recovery (else
    below); lag: minutes until the condition is first true; clear: minutes after recovery until it is false; missing: minute at which
    the signal fires when no series ever existed (None: it stays silent, and `silence_is` names the signal that speaks then);
    horizon: minutes the just-below case runs on.
    """

    series: tuple[str, ...]
    over: tuple[str, ...]
    below: tuple[str, ...]
    good: tuple[str, ...] = ()
    lag: int = 0
    clear: int = 0
    missing: int | None = None
    silence_is: str = ""
    horizon: int = 60
    more: "tuple[Example, ...]" = ()


@dataclass(frozen=True, kw_only=True)
class Example:
    """One more case: series (selector, level), the minute at which it fires (None: never) and the one at which it clears.

    A level is a row of segments `start+stepxMINUTES`; the last one has no length; `_` is silence.
    """

    title: str
    series: tuple[tuple[str, str], ...]
    fires: int | None
    clears: int | None = None


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One thing that is watched.

    kinds: the stores it exists for (`tier` for the tier as a whole); expression: PromQL with `$threshold`, `$hold` and the target's values;
    it yields one series without labels while something is wrong; hold: minutes it must stay wrong; setting: which of the target's settings
    takes the threshold's place (the summary says it as `$limit`); meaning: what it means for data; first: the first three things to do;
    then: what comes after.
    """

    name: str
    severity: Severity
    kinds: tuple[str, ...]
    expression: str
    threshold: float
    hold: int
    summary: str
    meaning: str
    first: tuple[str, str, str]
    then: str
    proof: Proof
    setting: str = ""

    @property
    def alert(self) -> str:
        """`PereneVolumeNearlyFull` for `volume-nearly-full`."""
        return "Perene" + "".join(word.capitalize() for word in self.name.split("-"))

    @property
    def runbook(self) -> str:
        """The runbook's path in this repository."""
        return f"{RUNBOOKS}/{self.name}.md"

    def needs(self) -> set[str]:
        """The target values that the expression asks for."""
        names = set(Template(self.expression).get_identifiers())
        return set().union(*(COMPOUND.get(name, (name,)) for name in names)) - {"threshold"}


@dataclass(frozen=True, kw_only=True)
class LogSignal:
    """An event that exists only as a log entry; Cloud Logging filter, one condition per line.

    extractors: label -> extraction; they never carry the statement's text, so a page cannot leak a person's data.
    """

    name: str
    severity: Severity
    kinds: tuple[str, ...]
    filter: str
    extractors: Mapping[str, str] = field(default_factory=dict)
    summary: str
    meaning: str
    first: tuple[str, str, str]
    then: str

    @property
    def alert(self) -> str:
        """`PereneAutomatedBackupFailed` for `automated-backup-failed`."""
        return "Perene" + "".join(word.capitalize() for word in self.name.split("-"))

    @property
    def runbook(self) -> str:
        """The runbook's path in this repository."""
        return f"{RUNBOOKS}/{self.name}.md"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the signals are bound to: one store of one tier, or the tier as a whole (`store` empty, kind `tier`).

    values: what the expressions ask for: `namespace`, `workload` (StatefulSet), `volume` (claim), `cronjob`, `database_id`
    (`PROJECT:INSTANCE`), `max_connections`, `limit_bytes`, `backup_seconds` (schedule plus window), `drill_seconds`, `sealed_seconds`, ...;
    settings: setting -> limit from the configuration: shares (`disk`, `disk-warning`, `connections`) or seconds (`slow-query`,
    `backup-age`, `drill-age`, `proof-age`, `seal-age`); without: signals that make no sense for it.
    """

    stack: str
    owner: str
    kind: str
    store: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    def substitutions(self) -> dict[str, str]:
        """Every `$name` an expression may use; the compound ones are label matchers."""
        value = self.values.get
        return {
            **self.values,
            "tier": f'stack="{self.stack}"',
            "own": f'stack="{self.stack}",store="{self.store}"',
            "claim": f'namespace="{value("namespace")}",persistentvolumeclaim="{value("volume")}"',
            "pods": f'namespace="{value("namespace")}",pod=~"{value("workload")}-[0-9]+"',
            "instance": f'monitored_resource="cloudsql_database",database_id="{value("database_id")}"',
        }


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A signal bound to a target: what both renderings are made from. hold in minutes."""

    alert: str
    expression: str
    hold: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def threshold(signal: Signal, target: Target) -> float:
    """The signal's limit for this target: what the configuration says, else its own."""
    return target.settings.get(signal.setting, signal.threshold)


def limit(signal: Signal, value: float) -> str:
    """A signal's limit as a person reads it: `80 %` of a share, else a duration."""
    return f"{value * 100:g} %" if signal.setting in SHARES else duration(value)


def duration(value: float) -> str:
    """A duration in seconds as a person reads it: `750 ms`, `5 seconds`, `29 hours`."""
    if value < 1:
        return f"{value * 1000:g} ms"
    return f"{value:g} seconds" if value < 600 else f"{value / 60:g} minutes" if value < 7200 else f"{value / 3600:g} hours"


def number(value: float) -> str:
    """A threshold as PromQL writes it: `0.8`, `5`, `93600`."""
    return f"{value:.12g}"


def labels(signal: Signal | LogSignal, target: Target) -> dict[str, str]:
    """The labels by which a page is routed: exactly one owner."""
    return {
        "severity": signal.severity,
        "stack": target.stack,
        "store": target.store or "tier",
        "signal": signal.name,
        "owner": target.owner,
    }


def annotations(signal: Signal | LogSignal, target: Target) -> dict[str, str]:
    """What a person woken at night reads: what, what it means for data, the first three things, where the runbook is."""
    words = {"stack": target.stack, "store": target.store or "the tier"}
    words |= {"limit": limit(signal, threshold(signal, target))} if isinstance(signal, Signal) else {}
    steps = "\n".join(f"{index}. {step}" for index, step in enumerate(signal.first, 1))
    return {
        "summary": Template(signal.summary).substitute(words),
        "meaning": signal.meaning,
        "first": Template(steps).substitute(words),
        "runbook": signal.runbook,
    }


def bind(signal: Signal, target: Target) -> Rule:
    """The rule for one target. KeyError when the target lacks a value that the expression asks for."""
    words = target.substitutions() | {"threshold": number(threshold(signal, target))}
    expression = re.sub(r"\s+", " ", Template(signal.expression).substitute(words)).strip()
    return Rule(
        alert=signal.alert, expression=expression, hold=signal.hold, labels=labels(signal, target), annotations=annotations(signal, target)
    )
