"""Retention keeps sooner too many sets than too few."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perene.backup import retention
from perene.backup.sets import OnHand
from perene.backup.simulate import replay

KEEP = {"daily": 7, "weekly": 4}
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def made(*days_ago: int, proven: tuple[int, ...] = ()) -> list[OnHand]:
    times = {day: NOW - timedelta(days=day, hours=8) for day in days_ago}
    return [OnHand(f"{time:%Y%m%dT%H%M%SZ}-{day:06d}", time, day in proven, ()) for day, time in times.items()]


def days_kept(plan: retention.Plan) -> list[int]:
    return sorted(int(name.split("-")[1]) for name in plan.keep)


def test_seven_days_and_four_weeks_are_kept_of_a_year() -> None:
    plan = retention.plan(made(*range(365)), KEEP, NOW)
    assert days_kept(plan) == [0, 1, 2, 3, 4, 5, 6, 9, 16], "7 daily; the 4 newest weeks, the current one among them"
    assert len(plan.remove) == 365 - 9


def test_the_newest_proven_set_is_never_removed() -> None:
    plan = retention.plan(made(*range(100), proven=(60,)), KEEP, NOW)
    assert 60 in days_kept(plan), "the only set that is known to come back stays, however old it is"


def test_nothing_is_removed_while_backups_are_failing() -> None:
    plan = retention.plan(made(*range(3, 100)), KEEP, NOW)
    assert not plan.remove
    assert "failing" in plan.held, "the reason is said"


def test_a_clock_that_ran_ahead_removes_nothing() -> None:
    plan = retention.plan(made(-30, *range(100)), KEEP, NOW)
    assert not plan.remove
    assert "clock" in plan.held


def test_freeing_space_never_takes_the_newest_two_nor_the_newest_proven() -> None:
    chosen = retention.free(made(*range(3, 20), proven=(10, 15)), 100)
    left = set(range(3, 20)) - {int(one.id.split("-")[1]) for one in chosen}
    assert left == {3, 4, 10}


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=60), st.integers(0, 9), st.integers(0, 9))
def test_whatever_is_on_hand_the_newest_and_the_newest_proven_stay(days: list[tuple[int, bool]], daily: int, weekly: int) -> None:
    sets = made(*{day for day, _ in days}, proven=tuple(day for day, proven in days if proven))
    plan = retention.plan(sets, {"daily": daily, "weekly": weekly}, NOW)
    removed = {one.id for one in plan.remove}
    newest = sorted(sets, key=lambda one: one.time)[-2:]
    assert removed.isdisjoint(one.id for one in newest)
    proven = [one for one in sorted(sets, key=lambda one: one.time) if one.proven]
    assert not proven or proven[-1].id not in removed
    again = retention.plan([one for one in sets if one.id not in removed], {"daily": daily, "weekly": weekly}, NOW)
    assert not again.remove, "a second run right after finds nothing to do"


@pytest.mark.parametrize("seed", range(10))
def test_four_hundred_days_of_faults_always_leave_a_way_back(seed: int) -> None:
    for day in replay(KEEP, 400, seed):
        if day.number < 60:
            continue
        ages = [(day.date - one.time).days for one in day.on_hand]
        assert len(day.on_hand) >= 7, f"day {day.number}: 7 daily at least; after an outage the weekly ones are among them"
        assert any(one.proven for one in day.on_hand), f"day {day.number}: a proven set is on hand"
        assert any(age >= 14 for age in ages), f"day {day.number}: a loss noticed after two weeks can be repaired"
        assert len(day.on_hand) <= 7 + 4 + 3 + 20, f"day {day.number}: old sets do go"
