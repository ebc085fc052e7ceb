"""Every kind of damage to a restored Redis or Qdrant is noticed, with content and without. RabbitMQ's: tests/e2e/test_rabbitmq.py."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from perene.backup import qdrant_snapshots
from perene.backup import redis as driver
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import StoreSet
from perene.contract.tier import Check, Goals, Store, StoreBackup
from perene.drill.damage_stores import FILES, QDRANT, RABBITMQ, REDIS
from perene.restore import qdrant, run
from perene.restore import redis as redis_restore
from perene.restore.job import Job
from tests.programs import needs
from tests.stores.conftest import Start, empty_repository, qdrant_program, repository, start
from tests.stores.test_qdrant import filled as with_points
from tests.stores.test_redis import filled as with_keys

__all__ = ["empty_repository", "qdrant_program", "repository", "start"]
QUIET = Stages(io.StringIO(), live=False)


class Kept:
    """The parts of one store, fetched once: what is tested here is not the repository."""

    def __init__(self, made: StoreSet, repository: Repository, folder: Path) -> None:
        self.files = {part.path: folder / f"kept-{number}" for number, part in enumerate(made.parts)}
        for path, file in self.files.items():
            repository.fetch(repository.find(path, set="one", store="one"), file)

    def find(self, path: str, **_: str) -> str:
        return path

    def fetch(self, path: str, target: Path) -> int:
        return len(shutil.copyfile(self.files[path], target).read_bytes())


def job(kept: StoreSet, repository: Any, work: Path, turn: int, checks: tuple[Check, ...] = ()) -> Job:
    goals = Goals(rpo="24h", rto="1h")
    live = Store(kind=kept.kind, generation=1, version="", backup=StoreBackup(ways=("logical",)), goals=goals, checks=checks, guarded=False)
    return Job(name="one", kept=kept, live=live, set_id="one", repository=repository, work=work, stages=QUIET, turn=turn)


@pytest.mark.parametrize("content", ["keys", "nothing"])
@needs("redis-server", "redis-cli", "redis-check-rdb")
def test_damage_to_a_redis_is_noticed(content: str, start: Start, repository: Repository, tmp_path: Path) -> None:
    client: redis.Redis = start(tmp_path / "data")
    if content == "keys":
        with_keys(client)
    made = driver.backup(client, repository=repository, set_id="one", store="one", stages=QUIET)
    kinds, kept = [*REDIS, *FILES], Kept(made, repository, tmp_path)
    for turn, kind in enumerate(kinds):
        check = Check(count="k?", at_least=10 if content == "keys" else 0, database="0")
        result = redis_restore.scratch(job(made, kept, tmp_path, turn, (check,)))
        assert result.differences == ()
        assert result.checks[0].found == result.checks[0].at_least
        assert result.damage is not None
        assert result.damage.kind == kind
        assert result.damage.found_by, f"{kind} went unnoticed"


@pytest.fixture
def vectors(qdrant_program: str, tmp_path: Path) -> Iterator[qdrant_snapshots.Qdrant]:
    with qdrant_snapshots.scratch(tmp_path) as server:
        yield server


@pytest.mark.parametrize("content", ["points", "nothing"])
def test_damage_to_a_qdrant_is_noticed(content: str, vectors: qdrant_snapshots.Qdrant, repository: Repository, tmp_path: Path) -> None:
    if content == "points":
        with_points(vectors)
    made = qdrant_snapshots.backup(vectors, repository=repository, set_id="one", store="one", stages=QUIET)
    kinds, kept = [*QDRANT, *(FILES if content == "points" else ())], Kept(made, repository, tmp_path)
    for turn, kind in enumerate(kinds):
        checks = (Check(count="live", at_least=700),) if content == "points" else ()
        for name in vectors.collections():
            vectors.ask("DELETE", f"/collections/{quote(name, safe='')}")
        result = qdrant.into(vectors, job(made, kept, tmp_path, turn, checks))
        assert result.differences == ()
        assert all(check.found == check.at_least for check in result.checks)
        assert result.damage is not None
        assert result.damage.kind == kind
        assert result.damage.found_by, f"{kind} went unnoticed"


def test_every_kind_of_store_has_a_restorer_and_kinds_of_damage() -> None:
    assert set(run.RESTORERS) == {"postgres", "cloud-sql", "files", "redis", "rabbitmq", "qdrant"}
    assert min(len(REDIS), len(QDRANT), len(RABBITMQ)) >= 6
