"""The one list of what is watched, and its two renderings: Prometheus rules and Cloud Monitoring conditions.

Pure data and functions: the program declares alerts from it, the tool checks them, the tests prove them. Each signal stands in
`perene.health.catalog`, by subject.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from string import Template
from typing import Any

from perene.health.catalog.backups import BACKUPS
from perene.health.catalog.cloud_sql import CLOUD_SQL
from perene.health.catalog.logs import LOGS
from perene.health.catalog.postgres import DATABASES
from perene.health.catalog.types import LogSignal, Rule, Signal, Target, annotations, bind, labels
from perene.health.catalog.volumes import VOLUMES
from perene.health.catalog.workloads import WORKLOADS
from perene.health.targets import (
    BACKUP_JOB,
    DRILL_JOB,
    RETENTION_JOB,
    SEAL_JOB,
    cloud_target,
    key_target,
    sealed_bucket_target,
    settings_of,
    targets_of,
)

__all__ = [
    "BACKUP_JOB",
    "DRILL_JOB",
    "LOG_SIGNALS",
    "RETENTION_JOB",
    "SEAL_JOB",
    "SIGNALS",
    "LogCondition",
    "LogSignal",
    "Rule",
    "Signal",
    "Target",
    "cloud_target",
    "key_target",
    "sealed_bucket_target",
    "settings_of",
    "targets_of",
]

SIGNALS: tuple[Signal, ...] = (*VOLUMES, *WORKLOADS, *DATABASES, *BACKUPS, *CLOUD_SQL)
LOG_SIGNALS: tuple[LogSignal, ...] = LOGS


@dataclass(frozen=True, kw_only=True)
class LogCondition:
    """A log signal bound to a target: Cloud Logging's filter and what the page carries."""

    alert: str
    filter: str
    extractors: dict[str, str]
    labels: dict[str, str]
    annotations: dict[str, str]


def rules_for(targets: Iterable[Target], signals: Iterable[Signal] = SIGNALS) -> tuple[Rule, ...]:
    """Every rule that applies: the signal watches this kind, and the target has what its expression asks for."""
    chosen = tuple(signals)
    return tuple(bind(signal, target) for target in targets for signal in chosen if applies(signal, target))


def applies(signal: Signal, target: Target) -> bool:
    """Whether the signal watches this target."""
    return target.kind in signal.kinds and signal.needs() <= set(target.values) and signal.name not in target.without


def log_conditions_for(targets: Iterable[Target]) -> tuple[LogCondition, ...]:
    """Every log condition that applies to the targets."""
    found = []
    for target in targets:
        for signal in LOG_SIGNALS:
            template = Template(signal.filter)
            if target.kind in signal.kinds and set(template.get_identifiers()) <= set(target.values):
                lines = (line.strip() for line in template.substitute(target.values).strip().splitlines())
                found.append(
                    LogCondition(
                        alert=signal.alert,
                        filter="\n".join(lines),
                        extractors=dict(signal.extractors),
                        labels=labels(signal, target),
                        annotations=annotations(signal, target),
                    )
                )
    return tuple(found)


def prometheus_groups(rules: Iterable[Rule], stack: str) -> dict[str, Any]:
    """The content of a Prometheus rule file, and of a PrometheusRule's `spec`; one group, so that one evaluation sees one moment."""
    return {"groups": [{"name": f"perene-{stack}", "interval": "30s", "rules": [_prometheus(rule) for rule in rules]}]}


def _prometheus(rule: Rule) -> dict[str, Any]:
    return {
        "alert": rule.alert,
        "expr": rule.expression,
        "for": f"{rule.hold}m",
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
    }


def cloud_condition(rule: Rule) -> dict[str, Any]:
    """The arguments of Cloud Monitoring's PromQL condition for the same rule (durations in whole minutes, as the service demands)."""
    return {
        "query": rule.expression,
        "duration": f"{rule.hold * 60}s",
        "evaluation_interval": "60s",
        "alert_rule": rule.alert,
        "rule_group": f"perene-{rule.labels['stack']}",
        "labels": dict(rule.labels),
        # a new tier's metrics do not exist yet, and absence is exactly what some signals watch
        "disable_metric_validation": True,
    }


def documentation(told: Rule | LogCondition) -> str:
    """The page's text in Markdown: what it means for data, the first three things, the runbook."""
    notes = told.annotations
    return f"{notes['meaning']}\n\nFirst:\n\n{notes['first']}\n\nRunbook: {notes['runbook']}\n\nOwner: {told.labels['owner']}"


def slow_pattern(milliseconds: int) -> str:
    """A regular expression for whole milliseconds of at least `milliseconds`, for the filter of slow statements.

    Any digit position that exceeds the limit while those before it are equal makes the number larger; so does another digit.
    """
    digits = str(milliseconds)
    larger = [
        f"{digits[:place]}[{int(digit) + 1}-9][0-9]{{{len(digits) - place - 1}}}" for place, digit in enumerate(digits) if digit != "9"
    ]
    return "|".join([*larger, digits, f"[0-9]{{{len(digits) + 1},}}"])
