"""Every small change that makes a rule say something else: numbers, comparisons, joins, filters, durations, labels, texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from perene.health.signals import Rule

_STRING = r'"(?:[^"\\]|\\.)*"'
_JOIN = {"and": "or", "or": "and"}
_COMPARE = {">": "<", "<": ">", ">=": "<", "==": "!="}


# The cases that are enough to notice a kind of change (a subset that notices proves that the whole does).
_AMONG_OTHERS = "others|never|minute"
_ALONE = "^(?!.*others)"
_ONCE = "right minute"


@dataclass(frozen=True)
class Mutant:
    """A changed rule, what was changed, and the cases to try it with (a regular expression of titles)."""

    what: str
    rule: Rule
    cases: str


def _outside_strings(expression: str, pattern: str) -> Iterator[re.Match[str]]:
    quoted = [match.span() for match in re.finditer(_STRING, expression)]
    for match in re.finditer(pattern, expression):
        if not any(start <= match.start() < end for start, end in quoted):
            yield match


def _swap(expression: str, match: re.Match[str], text: str) -> str:
    return expression[: match.start()] + text + expression[match.end() :]


def _number(value: float) -> str:
    return f"{value:.12g}"


def expressions(text: str) -> Iterator[tuple[str, str]]:
    """(what was changed, the changed expression)."""
    for match in _outside_strings(text, r"(?<![\w.])(\d+(?:\.\d+)?)(?![\w.:])"):
        number = float(match[0])
        for changed in (number * 1.03, number * 0.97) if number else (1000.0, -1000.0):
            yield f"{match[0]} -> {_number(changed)}", _swap(text, match, _number(changed))
    for match in _outside_strings(text, r"\[(\d+)([smhd])\]"):
        for changed in (int(match[1]) * 2, max(int(match[1]) // 2, 1)):
            yield f"{match[0]} -> {changed}{match[2]}", _swap(text, match, f"[{changed}{match[2]}]")
    for match in _outside_strings(text, r"(?<![=!])(>=|==|>|<)(?!=)|\b(and|or)\b"):
        other = _COMPARE.get(match[0]) or _JOIN[match[0]]
        yield f"{match[0]} -> {other}", _swap(text, match, other)
    for match in re.finditer(rf"(\w+)(=~|=)({_STRING})", text):
        yield f"filter {match[0]} lost", re.sub(r"\{,|,,|,\}", lambda m: m[0].replace(",", "", 1), _swap(text, match, ""))
        yield f"filter {match[0]} changed", _swap(text, match, f'{match[1]}="someone-else"')


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every mutant of a rule, those of the expression first."""
    for what, expression in expressions(rule.expression):
        yield Mutant(what, replace(rule, expression=expression), _AMONG_OTHERS if what.endswith("lost") else _ALONE)
    yield Mutant("a minute later", replace(rule, hold=rule.hold + 1), _ONCE)
    if rule.hold:
        yield Mutant("a minute earlier", replace(rule, hold=rule.hold - 1), _ONCE)
    for key in rule.labels:
        without = {name: value for name, value in rule.labels.items() if name != key}
        yield Mutant(f"label {key} lost", replace(rule, labels=without), _ONCE)
        yield Mutant(f"label {key} changed", replace(rule, labels={**without, key: "someone-else"}), _ONCE)
    for key in rule.annotations:
        told = {name: text for name, text in rule.annotations.items() if name != key}
        yield Mutant(f"annotation {key} lost", replace(rule, annotations=told), _ONCE)
