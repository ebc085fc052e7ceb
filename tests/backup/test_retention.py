"""Retention keeps sooner too many sets than too few."""

from collections import Counter
from dataclasses import replace
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
    assert days_kept(plan) == [0, 1, 2, 3, 4, 5, 6, 9, 16, 23], "a Tuesday: 7 daily; the Sundays of the 4 weeks before this one"
    assert len(plan.remove) == 365 - 10


@pytest.mark.parametrize("weekday", range(7))
def test_four_weekly_reach_back_more_than_three_weeks_on_every_day_of_the_week(weekday: int) -> None:
    now = NOW + timedelta(days=weekday)
    sets = [OnHand(f"s{day}", now - timedelta(days=day, hours=8), False, ()) for day in range(60)]
    assert max(int(name[1:]) for name in retention.plan(sets, KEEP, now).keep) >= 22


def test_a_set_that_failed_its_drill_does_not_stand_alone_for_its_week_or_day() -> None:
    sets = made(*range(40), proven=tuple(day for day in range(40) if day != 16))
    assert {16, 17} <= set(days_kept(retention.plan(sets, KEEP, NOW))), "Sunday's set was never proven: Saturday's stays too"
    twice = [*made(*range(7)), OnHand("proven", NOW - timedelta(days=5, hours=9), True, ())]
    assert "proven" in retention.plan(twice, {"daily": 7}, NOW).keep


def test_the_newest_proven_set_is_never_removed() -> None:
    plan = retention.plan(made(*range(100), proven=(60,)), KEEP, NOW)
    assert 60 in days_kept(plan), "the only set that is known to come back stays, however old it is"


def test_nothing_is_removed_while_backups_are_failing() -> None:
    plan = retention.plan(made(*range(3, 100)), KEEP, NOW)
    assert not plan.remove
    assert "failing" in plan.held, "the reason is said"


@pytest.mark.parametrize(("days", "held"), [(1, False), (7, False), (8, True)])
def test_a_weekly_set_is_not_late_before_its_week_is_over(days: int, held: bool) -> None:
    sets = [replace(one, every="7d") for one in made(*range(days, 200, 7))]
    plan = retention.plan(sets, KEEP, NOW)
    assert ("failing" in plan.held) is held
    assert held or days_kept(plan) == list(range(days, days + 7 * 7, 7)), "the last seven days that have a set are seven weeks"


@pytest.mark.parametrize("seed", range(5))
def test_sets_that_become_weekly_reach_back_as_far_and_are_never_older_than_the_faults_make_them(seed: int) -> None:
    days = list(replay(KEEP, 400, seed, weekly_from=100))
    fates = Counter(day.fate for day in days[120:])
    assert fates["not due"] > 150, "most days need none"
    assert all(day.fate != "not due" for day in days[:100]), "and before, every day does"
    since_fault = 0
    for day in days[120:]:
        since_fault = 0 if day.fate in {"missed", "failed", "outage"} else since_fault + 1
        newest = max(one.time for one in day.on_hand)
        if since_fault >= 1:
            assert day.date - newest <= timedelta(days=7), f"day {day.number}: a week, and no fault today"
        if since_fault >= 10:
            assert not day.held, f"day {day.number}: nothing counts as failing"
        assert any(one.proven for one in day.on_hand), f"day {day.number}: a proven set"
        assert max((day.date - one.time).days for one in day.on_hand) >= 21
        assert len(day.on_hand) <= 16


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
def test_four_hundred_days_of_faults_hold_all_that_the_rules_promise_of_everything_ever_made(seed: int) -> None:
    """Retention decides each day over what is left; the promise is about all sets that were ever made, and is counted here by itself."""
    ever: dict[str, OnHand] = {}
    for day in replay(KEEP, 400, seed):
        ever |= {one.id: one for one in day.on_hand}
        left = {one.id for one in day.on_hand}
        newest_first = sorted(ever.values(), key=lambda one: one.time, reverse=True)
        for name, period, count in (("days", "%Y-%m-%d", 7), ("weeks", "%G-%V", 5)):
            newest: dict[str, str] = {}
            for one in newest_first:
                newest.setdefault(f"{one.time:{period}}", one.id)
            assert set(list(newest.values())[:count]) <= left, f"day {day.number}: the newest set of each of the last {count} {name}"
        proven = [one.id for one in newest_first if one.proven]
        assert set(proven[:1]) <= left, f"day {day.number}: the newest proven set"
        if day.number >= 60:
            assert max((day.date - one.time).days for one in day.on_hand) >= 21, f"day {day.number}: a loss noticed after three weeks"
            assert len(day.on_hand) <= 16, f"day {day.number}: old sets do go"
