"""Six weeks of a tier's life: daily sets, drills that mostly pass, one missed day, one failed drill."""

import random
from datetime import UTC, datetime

from perene.health.facts import DrillFact, Evidence, SetFact

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
DAY = 86400


def life() -> Evidence:
    """The same at every call."""
    chance = random.Random(7)  # noqa: S311 - a picture, not a secret
    sets, drills = [], []
    for back in range(38, -1, -1):
        made = NOW - back * DAY - 8 * 3600
        if back == 11:
            continue
        name = f"set-{38 - back}"
        sets.append(SetFact(id=name, finished=made, bytes=int(4e9 + 5e7 * (38 - back)), seconds=180, stores=("main",)))
        if back % 2 == 0 or back < 3:
            failed = back == 18
            drills.append(
                DrillFact(
                    set=name,
                    source="set",
                    finished=made + 2 * 3600,
                    passed=not failed,
                    rto=420 + chance.random() * 240,
                    rto_goal=3600,
                    rpo=7200,
                    rpo_goal=DAY,
                    bytes=int(4e9),
                    reasons=("table public.users: expected 1000 rows, found 999",) if failed else (),
                )
            )
    return Evidence(sets=tuple(sets), drills=tuple(drills))
