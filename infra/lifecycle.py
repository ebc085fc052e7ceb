"""How long objects of a backup bucket live and can be brought back, said once for every provider."""

from dataclasses import dataclass

# After the lock has ended: a margin in which a late reader still finds the object, and no delete rule ever meets the lock.
AFTER_LOCK_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """The life of a bucket's objects, in days.

    undelete: how long a deleted or overwritten object can be brought back; lock: how long nobody can delete it (None: no lock);
    expire: when it is deleted by itself (None: never, as in a working repository, whose objects refer to each other);
    abort_uploads: when an unfinished upload is thrown away.
    """

    undelete: int
    lock: int | None = None
    expire: int | None = None
    abort_uploads: int = 1

    def __post_init__(self) -> None:
        if self.lock is not None and (self.expire is None or self.expire <= self.lock):
            raise ValueError(f"objects locked for {self.lock} days must expire later than that, not after {self.expire}")


def working(undelete_days: int) -> Lifecycle:
    """A restic repository: no age rule (it would break the chain), no lock (restic deletes its own), but nothing is gone at once."""
    return Lifecycle(undelete=undelete_days)


def sealed(lock_days: int) -> Lifecycle:
    """Write-once archives under a lock that nobody can shorten."""
    return Lifecycle(undelete=7, lock=lock_days, expire=lock_days + AFTER_LOCK_DAYS)
