"""What the tier's configuration says about guards opened on purpose, generations and goals; the program reads no clock, this does."""

import json
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

_GENERATION = re.compile(r"(?P<store>.+)-g(?P<generation>\d+)(?:-|$)")


@dataclass(frozen=True)
class Opening:
    """One guard opened on purpose. until: the last day on which it counts."""

    resource: str
    guard: str
    until: date | None
    reason: str
    by: str


@dataclass(frozen=True)
class StoreGoals:
    """What the configuration says about one store. retired: generation -> day on which it may go."""

    name: str
    kind: str
    generation: int
    retired: dict[int, date]
    rpo: str
    rto: str


@dataclass(frozen=True)
class TierFacts:
    """The part of the configuration that the gate needs; empty when a document carries none."""

    openings: tuple[Opening, ...] = ()
    stores: tuple[StoreGoals, ...] = ()

    def expired(self, today: date) -> list[Opening]:
        """Openings that are past their date, or have none that can be read."""
        return [opening for opening in self.openings if opening.until is None or opening.until < today]

    def store_of(self, urn: str) -> StoreGoals | None:
        """The store that a resource belongs to by its name (`main-g1-instance`)."""
        name = urn.rsplit("::", 1)[-1]
        matching = [store for store in self.stores if name == store.name or name.startswith(store.name + "-")]
        return max(matching, key=lambda store: len(store.name), default=None)


def generation_of(urn: str) -> int | None:
    """The generation in a resource's name, None when it has none."""
    match = _GENERATION.match(urn.rsplit("::", 1)[-1])
    return int(match["generation"]) if match else None


def read_tier(text: str) -> TierFacts:
    """The facts from the `perene:tier` configuration as JSON text. The program itself refuses what cannot be read."""
    try:
        tier = json.loads(text) if text else {}
    except ValueError:
        return TierFacts()
    if not isinstance(tier, dict):
        return TierFacts()
    goals = _dict(tier.get("goals"))
    opened = _dict(tier.get("guards")).get("opened")
    return TierFacts(
        openings=tuple(_opening(item) for item in (opened if isinstance(opened, list) else []) if isinstance(item, dict)),
        stores=tuple(_store(name, _dict(store), goals) for name, store in _dict(tier.get("stores")).items()),
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _day(value: Any) -> date | None:
    """The day, also when the engine's YAML reader made a timestamp of it (`2026-12-01 00:00:00 +0000 UTC`)."""
    try:
        return date.fromisoformat(re.sub(r"(T00:00:00Z| 00:00:00 \+0000 UTC)$", "", str(value)))
    except ValueError:
        return None


def _opening(item: dict[str, Any]) -> Opening:
    texts = {name: str(item.get(name, "")) for name in ("resource", "guard", "reason", "by")}
    return Opening(until=_day(item.get("until")), **texts)


def _store(name: str, store: dict[str, Any], goals: dict[str, Any]) -> StoreGoals:
    own = goals | _dict(store.get("goals"))
    generation = store.get("generation")
    retired = {int(number): day for number, text in _dict(store.get("retired")).items() if str(number).isdigit() and (day := _day(text))}
    return StoreGoals(
        name=name,
        kind=str(store.get("kind", "")),
        generation=generation if isinstance(generation, int) else 1,
        retired=retired,
        rpo=str(own.get("rpo", "")),
        rto=str(own.get("rto", "")),
    )
