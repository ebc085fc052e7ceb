"""What is known about recovery sets, drills and the sealed copy, as plain values; times in seconds since 1970 UTC."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SetFact:
    """One finished recovery set. seconds: how long it took; stores: which it holds; key: the key's fingerprint."""

    id: str
    finished: float
    bytes: int
    seconds: float
    stores: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class DrillFact:
    """One drill.

    set: what it restored; source: `set`, `sealed` or `pitr`; rto, rpo: seconds, measured and as a goal; reasons: of a failure.
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


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the repository tells.

    lock_age: seconds of the oldest lock, 0 without one; lock_as_declared: None without a sealed copy; problem: why it could not be read
    (the rest is then empty and means nothing).
    """

    sets: tuple[SetFact, ...] = ()
    drills: tuple[DrillFact, ...] = ()
    sealed: float | None = None
    lock_age: float = 0
    lock_as_declared: bool | None = None
    problem: str = ""

    @property
    def proven(self) -> frozenset[str]:
        """Sets whose latest drill passed."""
        latest: dict[str, DrillFact] = {}
        for drill in sorted(self.drills, key=lambda drill: drill.finished):
            latest[drill.set] = drill
        return frozenset(name for name, drill in latest.items() if drill.passed)

    def newest(self, store: str, *, proven: bool = False) -> SetFact | None:
        """The newest set that holds a store, or the newest proven one."""
        good = [one for one in self.sets if store in one.stores and (not proven or one.id in self.proven)]
        return max(good, key=lambda one: one.finished, default=None)

    def last_drill(self) -> DrillFact | None:
        """The newest drill."""
        return max(self.drills, key=lambda drill: drill.finished, default=None)
