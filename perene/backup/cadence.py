"""When the next set is due: each day, and each week of a tier whose databases are large, because a long snapshot holds vacuum back.

A set says itself when its successor is due, from the sizes (pg_database_size) that it took before it dumped. So whoever judges its age (the
scheduled run, retention, drill, exporter, health) goes by one word that cannot have changed since (docs/adr/0054).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from perene.backup.sets import OnHand
from perene.contract.tier import BackupPlan
from perene.contract.values import Duration

# A run that is late, or whose dump is, must not push the next one to the day after.
SLACK = timedelta(hours=12)


def not_due(plan: BackupPlan | None, sets: Sequence[OnHand], now: datetime) -> str:
    """Why the scheduled run makes no set now; empty when it makes one.

    Only a good set is waited on: one that no drill has proven, although its turn has come, is followed by another at once. What was made
    before a restore, or imported, is none of the schedule's.
    """
    own = [one for one in sets if not one.reason and not one.imported]
    newest = max(own, key=lambda one: (one.time, one.id), default=None)
    if newest is None or plan is None or plan.weekly_above is None or newest.every == "1d":
        return ""
    age, every = now - newest.time, Duration.parse(newest.every).timedelta
    drilled = Duration.parse(plan.drill_every).timedelta + SLACK
    if age < timedelta() or age >= every - SLACK or (not newest.proven and age >= drilled):
        return ""
    wait = f"{newest.time + every - SLACK:%Y-%m-%d %H:%M}Z"
    return (
        f"no set today: {newest.id} is {age / timedelta(days=1):.1f} days old, its databases took more than "
        f"{plan.weekly_above / 2**30:.0f} GiB, above which a set is made every {newest.every}; the next is due from {wait}"
    )
