"""Which sets are kept: one pure function over what is on hand. It is sooner too many than too few."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from perene.backup.sets import OnHand
from perene.contract.values import Duration

# A rule counts the periods that have a set, so that nothing is lost while no sets are made. Of each it keeps the newest set, and the newest
# proven one where that is another. A week or month that is still under way is kept beside the N before it: "4 weekly" reaches back 4 weeks
# on every day of the week, and a set that is only a day old does not stand for its week yet.
PERIOD: Mapping[str, tuple[Callable[[datetime], tuple[int, ...]], int]] = {
    "daily": (lambda at: (at.year, at.month, at.day), 0),
    "weekly": (lambda at: at.isocalendar()[:2], 1),
    "monthly": (lambda at: (at.year, at.month), 1),
}
# Backups count as failing when the next set is late by more than this: one that is a few hours late is not a failure.
LATE = timedelta(hours=12)
NEWEST_KEPT = 2
# What was live before a restore: a loss that the restore brought is noticed within two weeks.
SAFETY_KEPT = timedelta(days=14)
# Somebody fetched it from an archive to use it, however old it is.
IMPORTED_KEPT = timedelta(days=14)


@dataclass(frozen=True)
class Plan:
    """What retention would do. keep: set -> reasons; remove: oldest first; held: why nothing is removed (empty: it is)."""

    keep: dict[str, tuple[str, ...]]
    remove: tuple[OnHand, ...]
    held: str = ""


def plan(sets: Sequence[OnHand], keep: Mapping[str, int], now: datetime, zone: str = "UTC") -> Plan:
    """Apply the keep rules; what any of them keeps stays. Removes nothing while backups are failing, and never the newest proven set."""
    newest_first = sorted((one for one in sets if not one.reason), key=lambda one: (one.time, one.id), reverse=True)
    apart = sorted((one for one in sets if one.reason), key=lambda one: (one.time, one.id))
    reasons: dict[str, list[str]] = {one.id: [one.reason] for one in apart if now - one.time < SAFETY_KEPT}
    for rule, count in keep.items():
        period_of, under_way = PERIOD[rule]
        periods: dict[tuple[int, ...], list[OnHand]] = {}
        for one in newest_first:
            periods.setdefault(period_of(one.time.astimezone(ZoneInfo(zone))), []).append(one)
        for members in list(periods.values())[: count + under_way if count else 0]:
            for one in dict.fromkeys([members[0], *_newest_proven(members)]):
                reasons.setdefault(one.id, []).append(rule)
    for one in _never(newest_first):
        reasons.setdefault(one.id, []).append("newest proven" if one.proven else "newest")
    for one in newest_first:
        if one.imported and now - datetime.fromisoformat(one.imported) < IMPORTED_KEPT:
            reasons.setdefault(one.id, []).append("imported")
    kept = {name: tuple(why) for name, why in reasons.items()}
    removable = tuple(one for one in sorted(sets, key=lambda one: (one.time, one.id)) if one.id not in kept)
    if not newest_first or now - newest_first[0].time > Duration.parse(newest_first[0].every).timedelta + LATE:
        age = f"the newest set is of {newest_first[0].time:%Y-%m-%d %H:%M}Z" if newest_first else "there is no set"
        return Plan({one.id: kept.get(one.id, ("backups are failing",)) for one in sets}, (), f"{age}: backups are failing")
    if newest_first[0].time > now + timedelta(hours=1):
        return Plan({one.id: ("clock",) for one in sets}, (), "the newest set is of the future: one of the clocks is wrong")
    return Plan(kept, removable)


def free(sets: Sequence[OnHand], count: int) -> tuple[OnHand, ...]:
    """The `count` oldest sets that may go when space is needed, also while backups fail: never the newest proven one nor the newest two."""
    never = {one.id for one in _never(sorted((one for one in sets if not one.reason), key=lambda one: (one.time, one.id), reverse=True))}
    return tuple(one for one in sorted(sets, key=lambda one: (one.time, one.id)) if one.id not in never)[:count]


def _never(newest_first: Sequence[OnHand]) -> list[OnHand]:
    return [*newest_first[:NEWEST_KEPT], *_newest_proven(newest_first)]


def _newest_proven(newest_first: Sequence[OnHand]) -> list[OnHand]:
    return [one for one in newest_first if one.proven][:1]
