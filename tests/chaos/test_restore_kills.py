"""SIGKILL of a restore in place at every step and at random moments: the old data is live or the new, and the same command finishes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.backup.conftest import empty_repository, server  # noqa: F401 - the fixtures
from tests.restore.conftest import Shop, backed_up, fresh, shop  # noqa: F401 - the fixtures
from tests.restore.kills import finished, old_or_new, start, whole

ROUNDS = int(os.environ.get("PERENE_CHAOS_ROUNDS", "200"))


def again(shop: Shop) -> None:  # noqa: F811
    fresh(shop.server, shop.files)
    shop.spoil()


def test_killed_at_every_step(shop: Shop, tmp_path: Path) -> None:  # noqa: F811
    again(shop)
    steps = whole(shop, tmp_path)
    finished(shop, tmp_path)
    assert {"journal compared ends", "exchange main begins", "exchange uploads ends"} <= set(steps)
    for step in steps:
        again(shop)
        assert start(shop, tmp_path, step).wait() == -signal.SIGKILL, step
        seen = old_or_new(shop)
        finished(shop, tmp_path)
        sys.stderr.write(f"{step}: {seen}\n")


def test_killed_at_random_moments(shop: Shop, tmp_path: Path) -> None:  # noqa: F811
    seed = int(os.environ.get("PERENE_CHAOS_SEED", str(time.time_ns() % 2**32)))
    chance = random.Random(seed)  # noqa: S311 - moments of a kill, no secret
    again(shop)
    begin = time.monotonic()
    whole(shop, tmp_path)
    typical = time.monotonic() - begin
    finished(shop, tmp_path)
    kills, states = 0, []
    for _ in range(ROUNDS):
        again(shop)
        for _ in range(chance.randint(1, 3)):
            run = start(shop, tmp_path)
            try:
                run.communicate(timeout=chance.uniform(0.1, 1.1) * typical)
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
                kills += 1
            states.append(old_or_new(shop))
        finished(shop, tmp_path)
    counted = {state: states.count(state) for state in sorted(set(states))}
    sys.stderr.write(f"\nseed {seed}: {ROUNDS} rounds, {kills} kills, live afterwards {counted}\n")
    assert kills >= ROUNDS // 2, "the kills must hit"
