"""SIGKILL at random moments of backups and restores: no torn set, no lost older set, and every lock and every half restore heals."""

import fcntl
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perene.backup import keep, sets
from perene.backup.progress import Stages
from perene.drill.scratch import OWNER, PREFIX, scratch
from tests.backup.kills import DATABASE, Victims, repository_at
from tests.backup.tiers import tier
from tests.programs import needs

ROUNDS = int(os.environ.get("PERENE_CHAOS_ROUNDS", "200"))


@needs("postgres", "restic", "zstd")
@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    """A database large enough that kills hit the dump, and one whole set."""
    seed = int(os.environ.get("PERENE_CHAOS_SEED", str(time.time_ns() % 2**32)))
    sys.stderr.write(f"\nseed {seed}\n")
    repository = repository_at(str(tmp_path / "repository"))
    repository.init()
    with scratch(settings={"wal_level": "replica"}) as server:
        made = Victims(server, repository, random.Random(seed))  # noqa: S311 - moments of a kill, no secret
        made.fill(200_000)
        yield made


def test_whatever_is_killed_whole_sets_stay_whole(victims: Victims) -> None:
    typical = {word: victims.timed(word) for word in ("backup", "restore")}
    for number in range(ROUNDS):
        if number % 2:
            victims.restore_round(typical["restore"])
        else:
            victims.backup_round(typical["backup"], canary=number % 10 == 0)
    sys.stderr.write(f"{ROUNDS} rounds, {victims.kills} kills, {victims.healed} locks healed, {len(victims.whole)} whole sets\n")
    assert victims.kills >= ROUNDS // 2, "the kills must hit"
    assert ROUNDS < 10 or victims.healed, "some kills must hit while the lock is held"
    repository = victims.repository
    document = tier(repository.url, server=victims.server, databases=(DATABASE,))
    later = datetime.now(UTC) + timedelta(days=30)
    keep.apply(document, repository, now=later, dry_run=False, stages=Stages(live=False))
    snapshots = repository.snapshots()
    assert not sets.unfinished(snapshots), "remains of dead runs are removed in the end"
    assert [one.id for one in sets.on_hand(snapshots)] == victims.whole, "and no whole set with them: backups are failing by then"
    repository.check("100%")
    victims.ends("restore")
    with scratch():
        left = [owner for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}") if free(owner)]
    assert not left, "servers of killed runs are stopped and removed by the next one"


def free(owner: Path) -> bool:
    """Whether the process that a scratch server belonged to is gone."""
    with owner.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
