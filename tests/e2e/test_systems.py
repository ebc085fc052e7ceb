"""Each of the five systems, whole: up, its application, realistic data, a set, every volume destroyed, restored, the same again, green.

Two systems in each run of `make e2e`, by turns; all five in `make e2e-systems`. The times of each step are printed at the end.
"""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyrage
import pytest

from tests.e2e.systems import SYSTEMS, TIMES, Running, by_turns, chosen, wrong
from tests.e2e.tier import Tier, eventually

pytestmark = pytest.mark.e2e
NAMES, _ = chosen()
# What takes longer is left to those who ask for it.
BY_TURNS = not os.environ.get("PERENE_SYSTEMS")


@pytest.fixture(params=NAMES)
def running(request: pytest.FixtureRequest, tier: Tier) -> Iterator[Running]:
    """A system of the table, not yet up; everything of it is removed at the end."""
    name = request.param
    needed = SYSTEMS[name].needs
    if needed and not os.environ.get(needed):
        pytest.skip(f"{name} end to end: {needed} names no program (docs/local.md)")
    times = request.config.stash.setdefault(TIMES, {}).setdefault(name, {})
    found = Running(tier, name, times)
    yield found
    if not os.environ.get("PERENE_E2E_KEEP"):
        found.gone()


def test_five_days_see_each_system_twice() -> None:
    days = [by_turns(date(2026, 11, 26) + timedelta(days=number)) for number in range(5)]
    assert sorted(name for day in days for name in day) == sorted(2 * list(SYSTEMS))


def test_it_is_lost_and_comes_back_whole(running: Running, tier: Tier) -> None:
    with running.timed("up"):
        done = running.up()
        assert done.returncode == 0, done.stderr
    with running.timed("application"):
        running.start()
        if running.system.switch:
            answers = running.switch_over()
            assert answers == sorted(answers), "first the one version, then the other, and no request in between failed"
            assert answers[-1] == "2.0"
    with running.timed("data"):
        if running.system.fill:
            running.app(*running.system.fill)
        running.on_schedule()
        running.interrupt()
        before = running.settle()
    with running.timed("backup"):
        assert "verified" in running.job("perene-backup")
    with running.timed("drill"):
        drilled = running.job("perene-drill")
        assert "passed" in drilled, drilled

    with running.timed("destroy"):
        lost = running.lose()
    assert lost
    with running.timed("up again"):
        running.up()
        eventually(running.sets_ready, "the empty servers", seconds=120)
    with running.timed("restore"):
        done = running.restore("newest", "--in-place", "--applications-stopped", "--confirm", running.called)
        assert done.returncode == 0, done.stdout + done.stderr
        for name in running.document.cross_checks:
            assert f"cross-check {name}" in done.stdout, "made between what came back"
        listed = running.job("perene-retention", "repo", "list")
        # Of a Qdrant or Redis on an empty volume there is nothing to save; an empty database and a broker's definitions are saved.
        assert ("pre-restore" in listed) == (set(running.kinds) & {"postgres", "rabbitmq"} != set()), listed
        done = running.restore("--finish", "--confirm", running.called)
        assert done.returncode == 0, done.stdout + done.stderr
    with running.timed("compare"):
        running.start(writing=False)
        assert running.look() == before, "counts and content as before, by the application's own program"
    with running.timed("health"):
        running.start()
        health = running.health()
        assert not wrong(health), wrong(health)
    if running.system.elsewhere and not BY_TURNS:
        with running.timed("elsewhere"):
            comes_back_elsewhere(running, tier, before)


def comes_back_elsewhere(running: Running, tier: Tier, before: dict[str, Any]) -> None:
    """One archive out, sealed to somebody's offline key; one in, into another tier with a repository, volumes and secrets of its own."""
    identity = pyrage.x25519.Identity.generate()
    running.operator()
    running.operates("perene", "export", "newest", "/scratch/one.age", "--recipient", str(identity.to_public()))
    archive = running.operates("cat", "/scratch/one.age")
    running.rest()
    other = Running(tier, running.name, {}, called=running.system.elsewhere)
    try:
        done = other.up()
        assert done.returncode == 0, done.stderr
        other.operator()
        for name, content in {"one.age": archive, "identity": str(identity).encode()}.items():
            other.operates("sh", "-c", f"umask 077; cat > /scratch/{name}", stdin=content)
        other.operates("perene", "import", "/scratch/one.age", "--identity", "/scratch/identity")
        assert b"imported" in other.operates("perene", "repo", "list")
        done = other.restore("newest", "--in-place", "--applications-stopped", "--confirm", other.called)
        assert done.returncode == 0, done.stdout + done.stderr
        other.start(writing=False)
        assert other.look() == before, "in another namespace, with other volumes and passwords"
    finally:
        other.gone()
