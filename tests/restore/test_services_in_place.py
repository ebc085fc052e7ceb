"""Redis, Qdrant and RabbitMQ in the place of one that lost its volume: an empty server is filled, one that holds anything is refused."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from perene.backup import qdrant_snapshots
from perene.backup.qdrant import Qdrant, fingerprint
from perene.backup.repository import Repository
from perene.contract.recovery_set import StoreSet
from perene.contract.tier import Goals, ServiceEndpoint, Store, StoreBackup
from perene.errors import PereneError
from perene.restore import services_in_place
from perene.restore.job import Job, Target, wrong
from tests.programs import needs
from tests.stores import test_qdrant, test_redis
from tests.stores.conftest import Start, empty_repository, qdrant_program, repository, start

__all__ = ["empty_repository", "qdrant_program", "repository", "start"]


def store(kind: str, protocol: str, port: int) -> Store:
    return Store.model_validate(
        {
            "kind": kind,
            "generation": 1,
            "version": "",
            "endpoint": ServiceEndpoint.model_validate({"protocol": protocol, "host": "127.0.0.1", "port": port}),
            "backup": StoreBackup(ways=("logical",)),
            "goals": Goals(rpo="24h", rto="1h"),
            "guarded": False,
        }
    )


def restored(live: Store, made: StoreSet, repository: Repository, work: Path) -> list[str]:
    """As `perene restore --in-place` goes about it; what is wrong afterwards."""
    name = made.parts[0].path[1:].partition(".")[0]
    job = Job(name=name, kept=made, live=live, set_id="one", repository=repository, work=work, stages=test_redis.quiet())
    with services_in_place.open_store(Target(name=name, live=live, set_id="one", parts=())) as there:
        assert there.look(made) is None, "nothing of it is there any more: no safety backup"
        result = there.prepare(job)
        there.exchange()
        there.finish()
    return wrong(result)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@needs("redis-server", "redis-cli", "redis-check-rdb")
def test_an_empty_redis_is_filled_with_every_type_and_a_used_one_is_refused(
    start: Start, repository: Repository, port: int, tmp_path: Path
) -> None:
    source = test_redis.filled(start(tmp_path / "lost"))
    source.hset("large", mapping={str(number): "x" * 100 for number in range(2000)})
    until = source.pexpiretime("later")
    made = test_redis.backed_up(source, repository)
    live = start(tmp_path / "new", port=str(port))
    assert restored(store("redis", "redis", port), made, repository, tmp_path) == []
    assert live.pexpiretime("later") == until
    assert not live.exists("session"), "its time is over"
    assert live.fcall("f", 0) == 1
    assert live.xpending("stream", "workers")["pending"] == 1
    assert restored(store("redis", "redis", port), made, repository, tmp_path) == [], "the same command again only compares"
    for command in (("SET", "k1", "other"), ("SREM", "set", "7"), ("DEL", "list"), ("XACK", "stream", "workers", "0-0")):
        live.execute_command(*command)
    with pytest.raises(PereneError, match="cache holds 25"):
        restored(store("redis", "redis", port), made, repository, tmp_path)
    assert live.get("k1") == b"other", "nothing was written over"


@needs("redis-server", "redis-cli", "redis-check-rdb")
def test_what_did_not_come_back_as_it_was_is_named(
    start: Start, repository: Repository, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = test_redis.backed_up(test_redis.filled(start(tmp_path / "lost")), repository)
    live = start(tmp_path / "new", port=str(port))
    fill = services_in_place.redis._fill

    def spoilt(running: redis.Redis, copy: redis.Redis) -> None:
        fill(running, copy)
        live.zadd("scores", {"7": 8})

    monkeypatch.setattr(services_in_place.redis, "_fill", spoilt)
    assert any("db0" in line for line in restored(store("redis", "redis", port), made, repository, tmp_path))


@pytest.fixture
def vectors(qdrant_program: str, tmp_path: Path) -> Iterator[tuple[Qdrant, Qdrant]]:
    """The server that is lost, and the empty one of the tier."""
    with qdrant_snapshots.scratch(tmp_path) as one, qdrant_snapshots.scratch(tmp_path) as other:
        for name in ("photos", "texts"):
            one.ask("PUT", f"/collections/{name}", json={"vectors": {"size": 4, "distance": "Dot"}})
            points = [{"id": number, "vector": [number, 1, 0.5, 1], "payload": {"n": number}} for number in range(1, 300)]
            one.ask("PUT", f"/collections/{name}/points?wait=true", json={"points": points})
        one.ask("POST", "/collections/aliases", json={"actions": [{"create_alias": {"collection_name": "photos", "alias_name": "live"}}]})
        yield one, other


def test_an_empty_qdrant_is_filled_and_a_used_one_is_refused(
    vectors: tuple[Qdrant, Qdrant], repository: Repository, tmp_path: Path
) -> None:
    source, live = vectors
    made = test_qdrant.backed_up(source, repository).model_copy(update={"kind": "qdrant"})
    document = store("qdrant", "http", int(live.url.rpartition(":")[2]))
    # The application's set-up was quicker.
    live.ask("PUT", "/collections/photos", json={"vectors": {"size": 4, "distance": "Dot"}})
    assert restored(document, made, repository, tmp_path) == []
    assert fingerprint(live) == made.content
    assert restored(document, made, repository, tmp_path) == []
    live.ask("PUT", "/collections/photos/points?wait=true", json={"points": [{"id": 1, "vector": [1, 1, 1, 1], "payload": {}}]})
    with pytest.raises(PereneError, match="vectors holds points in photos, texts"):
        restored(document, made, repository, tmp_path)
