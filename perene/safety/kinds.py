"""The vocabulary of the catalogue: how bad a change is, and what a rule and a kind of resource look like."""

from dataclasses import dataclass
from enum import IntEnum


class Effect(IntEnum):
    """What a change does to data, worst last."""

    SAFE = 0
    DISRUPTIVE = 1
    WEAKENS = 2
    LOSES_DATA = 3

    def __str__(self) -> str:
        return self.name.replace("_", "-")


MEASURED = "measured with the real engine and provider (tests/safety/recordings)"
SOURCE = "provider source"
SCHEMA = "provider schema"
SERVICE = "service documentation"
DESIGN = "this project's own rule"

GO_BACK = "take the change back, or have it waived by another person"


@dataclass(frozen=True)
class Rule:
    """One property whose change matters.

    path: property path in the provider's camelCase, without list indices; test: a name in `perene.safety.comparisons`;
    reason: what it means for data; way_out: what to do instead.
    """

    path: str
    test: str
    effect: Effect
    reason: str
    source: str = MEASURED
    way_out: str = GO_BACK


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type.

    data: whether deleting or replacing it loses data; gone: effect and reason of a delete or replacement; way_out: what to do instead;
    replaced_by: paths whose change makes the provider replace it; rules: updates that matter, several may fire on one path;
    harmless: paths (and everything below) whose change does nothing to data; other: effect of a change that nothing here explains;
    guards: paths of provider or service guards that are on when true; acts_on: the property that names an existing resource which creating
    this one changes (the bucket of a lifecycle).
    """

    data: bool
    gone: Effect
    gone_reason: str
    way_out: str = GO_BACK
    source: str = MEASURED
    replaced_by: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    harmless: tuple[str, ...] = ()
    other: Effect = Effect.WEAKENS
    guards: tuple[str, ...] = ()
    acts_on: str = ""


def rows(*table: tuple[str, str, Effect, str], source: str = MEASURED, way_out: str = GO_BACK) -> tuple[Rule, ...]:
    """Rules with one source and one way out, written as a table of path, test, effect, reason."""
    return tuple(Rule(path, test, effect, reason, source, way_out) for path, test, effect, reason in table)
