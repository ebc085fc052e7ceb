"""Which sets are kept: one pure function over what is on hand. It is sooner too many than too few."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from perene.backup.sets import OnHand

# A rule keeps the newest set of each of the last N periods that have one, so that nothing is lost while no sets are made.
PERIOD: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "daily": lambda at: (at.year, at.month, at.day),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
}
# Backups count as failing when the newest set is older than this: a daily set that is a few hours late is not a failure.
FAILING_AFTER = timedelta(hours=36)
NEWEST_KEPT = 2


@dataclass(frozen=True)
class Plan:
    """What retention would do. keep: set -> reasons; remove: oldest first; held: why nothing is removed (empty: it is)."""

    keep: dict[str, tuple[str, ...]]
    remove: tuple[OnHand, ...]
    held: str = ""


def plan(sets: Sequence[OnHand], keep: Mapping[str, int], now: datetime, zone: str = "UTC") -> Plan:
    """Apply the keep rules (added together). Removes nothing while backups are failing, and never the newest proven set."""
    newest_first = sorted(sets, key=lambda one: (one.time, one.id), reverse=True)
    reasons: dict[str, list[str]] = {}
    for rule, count in keep.items():
        seen: set[tuple[int, ...]] = set()
        for one in newest_first:
            period = PERIOD[rule](one.time.astimezone(ZoneInfo(zone)))
            if period not in seen and len(seen) < count:
                seen.add(period)
                reasons.setdefault(one.id, []).append(rule)
    for one in _never(newest_first):
        reasons.setdefault(one.id, []).append("newest proven" if one.proven else "newest")
    kept = {name: tuple(why) for name, why in reasons.items()}
    removable = tuple(one for one in reversed(newest_first) if one.id not in kept)
    if not newest_first or now - newest_first[0].time > FAILING_AFTER:
        age = f"the newest set is of {newest_first[0].time:%Y-%m-%d %H:%M}Z" if newest_first else "there is no set"
        return Plan({one.id: kept.get(one.id, ("backups are failing",)) for one in newest_first}, (), f"{age}: backups are failing")
    if newest_first[0].time > now + timedelta(hours=1):
        return Plan({one.id: ("clock",) for one in newest_first}, (), "the newest set is of the future: one of the clocks is wrong")
    return Plan(kept, removable)


def free(sets: Sequence[OnHand], count: int) -> tuple[OnHand, ...]:
    """The `count` oldest sets that may go when space is needed, also while backups fail: never the newest proven one nor the newest two."""
    never = {one.id for one in _never(sorted(sets, key=lambda one: (one.time, one.id), reverse=True))}
    return tuple(one for one in sorted(sets, key=lambda one: (one.time, one.id)) if one.id not in never)[:count]


def _never(newest_first: Sequence[OnHand]) -> list[OnHand]:
    proven = next((one for one in newest_first if one.proven), None)
    return [*newest_first[:NEWEST_KEPT], *([proven] if proven else [])]
