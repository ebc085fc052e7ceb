"""What is known about recovery sets, drills and the sealed copy, as plain values; times in seconds since 1970 UTC."""

import hashlib
from dataclasses import dataclass


def seal_of(sentinel: bytes) -> str:
    """Sixteen hexadecimal digits by which two sentinels are told apart: the same one was sealed under the same key."""
    return hashlib.sha256(sentinel).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class SetFact:
    """One finished recovery set.

    seconds: how long it took; stores: which it holds; key: `seal_of` the key's sentinel, empty without a key; on_hand: False once
    retention has removed it; every: seconds until the next one is due; reason: why it was made besides the schedule.
    """

    id: str
    finished: float
    bytes: int
    seconds: float
    stores: tuple[str, ...]
    key: str = ""
    on_hand: bool = True
    every: float = 86400
    reason: str = ""

    @property
    def began(self) -> float:
        """When it began."""
        return self.finished - self.seconds


@dataclass(frozen=True, kw_only=True)
class DrillFact:
    """One drill.

    set: what it restored; source: `set`, `sealed` or `pitr`; rto, rpo: seconds, measured and as a goal; reasons: of a failure;
    key_opened: whether the key opened what was sealed under it, None without a key.
    """

    set: str
    source: str
    finished: float
    passed: bool
    rto: float
    rto_goal: float
    rpo: float
    rpo_goal: float
    bytes: int
    reasons: tuple[str, ...] = ()
    key_opened: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the repository tells.

    lock_age: seconds of the oldest lock, 0 without one; problem: why it could not be read (the rest is then empty and means nothing).
    """

    sets: tuple[SetFact, ...] = ()
    drills: tuple[DrillFact, ...] = ()
    sealed: float | None = None
    lock_age: float = 0
    problem: str = ""

    @property
    def on_hand(self) -> tuple[SetFact, ...]:
        """The sets that can be restored."""
        return tuple(one for one in self.sets if one.on_hand)

    @property
    def proven(self) -> frozenset[str]:
        """Sets whose latest drill from the repository passed: a drill from elsewhere proves another copy."""
        latest: dict[str, DrillFact] = {}
        for drill in sorted(self.drills, key=lambda drill: drill.finished):
            if drill.source == "set":
                latest[drill.set] = drill
        return frozenset(name for name, drill in latest.items() if drill.passed)

    def newest(self, store: str, *, proven: bool = False) -> SetFact | None:
        """The newest set that holds a store, or the newest proven one."""
        good = [one for one in self.on_hand if store in one.stores and (not proven or one.id in self.proven)]
        return max(good, key=lambda one: one.finished, default=None)

    def last_drill(self) -> DrillFact | None:
        """The newest drill of a set in the repository, which is the daily one."""
        return max((drill for drill in self.drills if drill.source == "set"), key=lambda drill: drill.finished, default=None)

    @property
    def drills_pass(self) -> bool:
        """Whether the newest drill of every source passed."""
        latest: dict[str, DrillFact] = {}
        for drill in sorted(self.drills, key=lambda drill: drill.finished):
            latest[drill.source] = drill
        return all(drill.passed for drill in latest.values())
