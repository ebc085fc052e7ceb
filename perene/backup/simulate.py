"""Retention replayed over many days with missed, late, failed and duplicated runs: what would be on hand each day."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from perene.backup import cadence, retention
from perene.backup.sets import OnHand
from perene.contract.tier import BackupPlan

PLAN = BackupPlan(at="01:00 UTC", keep={}, drill_every="1d", weekly_above=0)
FATES = ("made", "missed", "late", "failed", "duplicated")
_WEIGHTS = (86, 4, 4, 3, 3)
DRILL_FAILS = 0.1


@dataclass(frozen=True)
class Day:
    """One simulated day. fate: of FATES, `outage`, or `not due`; on_hand: after retention ran; removed: by it."""

    number: int
    date: datetime
    fate: str
    on_hand: tuple[OnHand, ...]
    removed: tuple[str, ...]
    held: str


def replay(
    keep: Mapping[str, int],
    days: int,
    seed: int,
    start: datetime = datetime(2026, 1, 1, 4, tzinfo=UTC),
    *,
    weekly_from: int | None = None,
) -> Iterator[Day]:
    """The days in order. seed: the same one gives the same faults; every run has an outage of up to 20 days; weekly_from: the day on which
    the databases outgrow the size above which sets are weekly (None: never)."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, no secret
    outage = range(chance.randrange(30, max(31, days - 30)), days)[: chance.randrange(5, 21)]
    sets: list[OnHand] = []
    for number in range(days):
        at = start + timedelta(days=number)
        fate = "outage" if number in outage else chance.choices(FATES, _WEIGHTS)[0]
        late = timedelta(hours=chance.randrange(1, 20)) if fate == "late" else timedelta()
        if weekly_from is not None and fate in {"made", "late", "duplicated"} and cadence.not_due(PLAN, sets, at + late):
            fate = "not due"
        every = "1d" if weekly_from is None or number < weekly_from else "7d"
        for copy in range({"made": 1, "late": 1, "duplicated": 2}.get(fate, 0)):
            time = at + late + timedelta(minutes=copy)
            sets.append(OnHand(f"{time:%Y%m%dT%H%M%SZ}-{number:05d}{copy}", time, chance.random() > DRILL_FAILS, (), every=every))
        decided = retention.plan(sets, keep, at + timedelta(hours=22))
        removed = {one.id for one in decided.remove}
        sets = [one for one in sets if one.id not in removed]
        yield Day(number, at, fate, tuple(sets), tuple(sorted(removed)), decided.held)
