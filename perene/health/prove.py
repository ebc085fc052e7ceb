"""Turns each signal's proof table into a promtool unit test: fires at the right minute, just below, recovers, vanishes, never existed.

Beyond the five shapes every signal is tried among series of other stores that are much larger or smaller, so that a lost filter shows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from string import Template
from typing import Any

from perene.health.catalog.types import Example, Signal, Target
from perene.health.signals import Rule, prometheus_groups, rules_for

GB = 10**9
# A target of every kind with every value that an expression can ask for.
_VALUES = {
    "namespace": "direito-lux",
    "workload": "main-g1",
    "volume": "data-main-g1-0",
    "container": "postgres",
    "backup_cronjob": "perene-backup",
    "jobs": "perene-backup|perene-drill",
    "database_id": "acme-prod:main-g1-abc",
    "standby_of": "acme-prod:main-g1-abc",
    "replica_id": "acme-prod:main-g1-abc-replica",
    "max_connections": "400",
    "limit_bytes": str(10_000 * GB),
    "project": "acme-prod",
    "slow_pattern": "5000",
    "secret": "data-key",
    "readers": '"app@acme-prod.iam.gserviceaccount.com"',
    "vault_project": "acme-vault",
    "sealed_bucket": "acme-vault-sealed",
}
SWITCH = 20  # minutes after firing at which a series recovers or vanishes


def example_target(kind: str) -> Target:
    """The target that proofs are made for."""
    tier = kind in {"tier", "sealed", "key"}
    return Target(stack="direito-lux-prod", owner="plataforma@direitolux.example", kind=kind, store="" if tier else "main", values=_VALUES)


@dataclass(frozen=True)
class Case:
    """One promtool test: series as (selector, level), minutes that must be silent and minutes that must fire."""

    title: str
    series: tuple[tuple[str, str], ...]
    silent: tuple[int, ...]
    firing: tuple[int, ...]


def samples(level: str, minutes: int) -> list[str]:
    """A level as one sample per minute: segments `start+stepxMINUTES`, the last without a length; `_` is silence."""
    out: list[str] = []
    for segment in level.split():
        match = re.fullmatch(r"(_|-?[\d.]+)([+-][\d.]+)?(?:x(\d+))?", segment)
        if not match:
            raise ValueError(f"no level: {segment!r}")
        start, step, length = match[1], float(match[2] or 0), int(match[3]) if match[3] else minutes + 1 - len(out)
        if start == "_":
            out += ["stale" if out and index == 0 else "_" for index in range(length)]
        else:
            base = float(start)
            out += [f"{base + step * index:.12g}" for index in range(length)]
    return out[: minutes + 1]


def _until(level: str, minute: int, after: str) -> str:
    return f"{level}x{minute} {after}"


def _others(selector: str, level: str, factor: int, filtered: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The same metric with one filtered label of another value each time, and a level far above (1) or far below (-1) anything."""
    size = factor * 10**15
    metric, _, matchers = selector.partition("{")
    pairs = re.findall(r'(\w+)="([^"]*)"', matchers)
    for key in (name for name, _ in pairs if name in filtered):
        changed = ",".join(f'{name}="{"other-" + text if name == key else text}"' for name, text in pairs)
        yield f"{metric}{{{changed}}}", f"{size}+{abs(size) // 100}" if level.count("+") else str(size)


def cases(signal: Signal, target: Target) -> list[Case]:
    """Every case of one signal for one target."""
    proof, words = signal.proof, target.substitutions()
    names = [Template(selector).substitute(words) for selector in proof.series]
    fires = proof.lag + signal.hold
    change, end = fires + SWITCH, fires + SWITCH + max(proof.clear, 5) + 5
    good = proof.good or proof.below

    def level(levels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple(zip(names, levels, strict=True))

    def both(first: tuple[str, ...], after: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple((name, _until(a, change, b)) for name, a, b in zip(names, first, after, strict=True))

    before = (fires - 1,) if fires else ()
    late = (*range(fires, proof.horizon + 1, 5), proof.horizon)
    gone = proof.missing
    lookback = tuple("_" for _ in names)
    filtered = frozenset(re.findall(r"(\w+)=~?\"", Template(signal.expression).substitute(words | {"threshold": "0"})))
    out = [
        Case("fires at the right minute", level(proof.over), before, (fires, fires + SWITCH)),
        Case("just below", level(proof.below), late, ()),
        Case(
            "recovers",
            both(proof.over, good),
            (change + proof.clear + 1, end),
            (change - 1, *((change + proof.clear - 1,) if proof.clear > 1 else ())),
        ),
    ]
    if gone is None:
        # range functions still see the last samples for their window; after it there is silence
        out.append(
            Case(
                "vanishes: falls silent",
                both(proof.over, lookback),
                (change + proof.clear + (400 if "[6h]" in signal.expression else 20),),
                (change - 1,),
            )
        )
        out.append(Case("never existed", (), (0, gone or signal.hold, 120), ()))
    else:
        first = gone - 1
        out.append(Case("vanishes: fires", both(good, lookback), (change + first,), (change + gone, change + gone + SWITCH)))
        out.append(Case("never existed", (), (first,), (gone, gone + SWITCH)))
        out.append(
            Case("never existed, others do", tuple(other for name in names for other in _others(name, "1", 1, filtered)), (first,), (gone,))
        )
    for factor, word in ((1, "larger"), (-1, "smaller")):
        strangers = tuple(other for name, own in zip(names, proof.over, strict=True) for other in _others(name, own, factor, filtered))
        out.append(Case(f"fires among {word} ones of others", level(proof.over) + strangers, before, (fires,)))
        out.append(Case(f"silent among {word} ones of others", level(proof.below) + strangers, late, ()))
    for example in proof.more:
        alone = _example(example, words)
        out.append(alone)
        for factor, word in ((1, "larger"), (-1, "smaller")):
            strangers = tuple(other for name, own in zip(names, proof.over, strict=True) for other in _others(name, own, factor, filtered))
            out.append(replace(alone, title=f"{alone.title}, among {word} others", series=alone.series + strangers))
    return out


def _example(example: Example, words: dict[str, str]) -> Case:
    series = tuple((Template(selector).substitute(words), level) for selector, level in example.series)
    if example.fires is None:
        return Case(example.title, series, (0, 1, 5, 20, 40, 60, 120), ())
    clear = example.clears
    silent = ((example.fires - 1,) if example.fires else ()) + ((clear, clear + 20) if clear else ())
    return Case(example.title, series, silent, (example.fires, *((clear - 1,) if clear else ())))


def promtool_test(signal: Signal, rule: Rule, target: Target, rule_file: str, only: str = "") -> dict[str, Any]:
    """The content of a promtool test file for one signal; `rule` is the unchanged rule, whose labels and annotations are expected.

    only: a regular expression of case titles.
    """
    expected = {"exp_labels": dict(rule.labels), "exp_annotations": dict(rule.annotations)}
    tests = []
    for case in (case for case in cases(signal, target) if re.search(only, case.title)):
        last = max(*case.silent, *case.firing, 0) + 1
        checks: list[dict[str, Any]] = [{"eval_time": f"{minute}m", "alertname": rule.alert, "exp_alerts": []} for minute in case.silent]
        checks += [{"eval_time": f"{minute}m", "alertname": rule.alert, "exp_alerts": [expected]} for minute in case.firing]
        tests.append(
            {
                "name": f"{signal.name}: {case.title}",
                "interval": "1m",
                "input_series": [{"series": name, "values": " ".join(samples(level, last))} for name, level in case.series],
                "alert_rule_test": checks,
            }
        )
    return {"rule_files": [rule_file], "evaluation_interval": "1m", "tests": tests}


def rule_of(signal: Signal) -> tuple[Rule, Target]:
    """The rule of a signal for its example target."""
    target = example_target(signal.kinds[0])
    (rule,) = rules_for([target], [signal])
    return rule, target


def rule_file(rule: Rule) -> dict[str, Any]:
    """A rule file with this one rule, evaluated once a minute."""
    content = prometheus_groups([rule], "proof")
    content["groups"][0]["interval"] = "1m"  # proofs count in minutes
    return content
