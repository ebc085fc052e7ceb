"""Redis: what a set holds, and the measured ways in which a restore goes wrong."""

import io
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from perene.backup import redis as driver
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import ItemsContent, StoreSet
from perene.errors import PereneError
from perene.restore import compare
from perene.restore import redis as restore
from tests.programs import needs
from tests.stores.conftest import Start

pytestmark = needs("redis-server", "redis-cli", "redis-check-rdb")


def quiet() -> Stages:
    return Stages(io.StringIO(), live=False)


def filled(client: redis.Redis) -> redis.Redis:
    """Every type, two databases, a library, a stream whose group has not acknowledged, and keys that expire."""
    for number in range(2500):
        client.set(f"k{number}", number)
    client.sadd("set", *range(300))
    client.hset("hash", mapping={str(number): number for number in range(600)})
    client.zadd("scores", {str(number): number / 7 for number in range(200)})
    client.rpush("list", *range(50))
    client.xadd("stream", {"a": "1"})
    client.xgroup_create("stream", "workers", id="0")
    client.xreadgroup("workers", "one", {"stream": ">"})
    client.function_load("#!lua name=lib\nredis.register_function('f', function() return 1 end)")
    client.set("session", "x", px=400)
    client.set("later", "x", ex=86400)
    client.execute_command("SELECT", 3)
    client.set("other", "x")
    client.execute_command("SELECT", 0)
    return client


def backed_up(client: redis.Redis, repository: Repository) -> StoreSet:
    return driver.backup(client, repository=repository, set_id="one", store="cache", stages=quiet())


def found_in(dump: Path, work: Path) -> ItemsContent:
    with driver.reading(dump, work) as copy:
        return driver.fingerprint(copy)


def test_a_set_holds_every_type_and_reads_the_same_after_keys_have_expired(start: Start, repository: Repository, tmp_path: Path) -> None:
    client = filled(start(tmp_path / "data", appendonly="yes"))
    made = backed_up(client, repository)
    assert isinstance(made.content, ItemsContent)
    assert {name: count.rows for name, count in made.content.items.items()} == {
        "everything": 2508,
        "db0": 2505,
        "db0 expiring": 2,
        "db0 streams": 1,
        "db3": 1,
        "functions": 1,
    }
    dump = tmp_path / "back.rdb"
    repository.fetch(repository.find("/cache.rdb", set="one"), dump)
    while client.get("session") is not None:
        time.sleep(0.05)
    assert found_in(dump, tmp_path) == made.content


CHANGES: dict[str, tuple[str, tuple[object, ...]]] = {
    "a value": ("db0", ("SET", "k7", "other")),
    "a key lost": ("db0", ("DEL", "k7")),
    "a key too many": ("db0", ("SET", "k9999", "1")),
    "a field": ("db0", ("HSET", "hash", "5", "6")),
    "a member": ("db0", ("SREM", "set", "5")),
    "a score": ("db0", ("ZADD", "scores", "0.5", "5")),
    "an order": ("db0", ("RPUSH", "list", "1")),
    "a type": ("db0", ("SET", "set", "x")),
    "a lasting key that expires": ("db0", ("EXPIRE", "k7", 99999)),
    "an expiring key that lasts": ("db0", ("PERSIST", "later")),
    "an expiring value": ("everything", ("SET", "later", "y", "KEEPTTL")),
    "a stream's group": ("db0 streams", ("XGROUP", "DESTROY", "stream", "workers")),
    "an acknowledgement": ("db0 streams", ("XGROUP", "DELCONSUMER", "stream", "workers", "one")),
    "another database": ("db3", ("MOVE", "k7", 3)),
    "a library": ("functions", ("FUNCTION", "FLUSH")),
}


def test_any_change_shows_under_its_name(start: Start, tmp_path: Path) -> None:
    client = filled(start(tmp_path / "data"))
    client.persist("session")
    before_file = tmp_path / "before.rdb"
    driver.fetch(client, before_file)
    with driver.reading(before_file, tmp_path) as copy:
        copy.config_set("replica-read-only", "no")
        before = driver.fingerprint(copy)
        for name, (where, command) in CHANGES.items():
            key = command[2] if command[0] == "XGROUP" else command[1]
            kept = copy.dump(key) if command[0] != "FUNCTION" else copy.execute_command("FUNCTION", "DUMP")
            left = copy.pttl(key)
            copy.execute_command(*command)
            named = {difference.where for difference in compare.items(before, driver.fingerprint(copy))}
            assert any(place == f"store: {where}" for place in named), f"{name}: {named}"
            if command[0] == "FUNCTION":
                copy.execute_command("FUNCTION", "RESTORE", kept)
            else:
                copy.execute_command("SELECT", 3)
                copy.delete("k7")
                copy.execute_command("SELECT", 0)
                copy.delete(key)
                if kept:
                    copy.restore(key, max(left, 0), kept)
            assert not compare.items(before, driver.fingerprint(copy)), f"{name} was put back"


def test_what_was_acknowledged_before_is_in_it_though_another_snapshot_runs(start: Start, tmp_path: Path) -> None:
    """A `rdb-only` replica attaches to the snapshot of another one: without waiting, ours would lack what came since."""
    client = start(tmp_path / "data", appendonly="yes")
    for number in range(300):
        client.set(f"k{number}", number)
    client.config_set("rdb-key-save-delay", 2000)
    other = threading.Thread(target=driver.fetch, args=(client, tmp_path / "other.rdb"))
    other.start()
    while not client.info("persistence")["rdb_bgsave_in_progress"]:
        time.sleep(0.01)
    client.set("acknowledged", "yes")
    client.config_set("rdb-key-save-delay", 0)
    driver.settled(client)
    driver.fetch(client, tmp_path / "ours.rdb")
    other.join()
    assert found_in(tmp_path / "other.rdb", tmp_path).items["db0"].rows == 300
    assert found_in(tmp_path / "ours.rdb", tmp_path).items["db0"].rows == 301


def test_a_snapshot_in_the_place_of_a_running_server_outlives_every_restart(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    client = start(data, appendonly="yes")
    client.set("wanted", "yes")
    driver.fetch(client, tmp_path / "set.rdb")
    client.delete("wanted")
    client.set("unwanted", "yes")
    again = restore.replace(client, tmp_path / "set.rdb", data, aside="x", start=lambda: start(data, appendonly="yes"))
    for appendonly in ("yes", "no", "yes"):
        assert again.keys() == [b"wanted"], f"before the start with appendonly {appendonly}"
        again.execute_command("BGREWRITEAOF") if appendonly == "no" else None
        again.shutdown(save=appendonly == "no")
        again = start(data, appendonly=appendonly)
    assert again.keys() == [b"wanted"]
    assert (data / "appendonlydir.before-x").is_dir(), "what was there is moved aside, not removed"


def outcome(start: Start, data: Path, **settings: str) -> str:
    """What a server does with a directory: the number of its keys, or that it refuses."""
    try:
        client = start(data, **settings)
    except PereneError:
        return "refuses"
    size = client.dbsize()
    client.shutdown(nosave=True)
    return f"{size} keys"


def the_old_log(data: Path) -> Path:
    return next((data / "appendonlydir").glob("*.incr.aof"))


def cut(file: Path, keep: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep) - 3])


def spoil(file: Path) -> None:
    content = file.read_bytes()
    middle = content.index(b"*3", len(content) // 2)
    file.write_bytes(content[:middle] + b"!!" + content[middle + 2 :])


def put_only_the_dump(data: Path) -> None:
    shutil.rmtree(data / "appendonlydir")


# What was measured on Redis 7.0: done to the directory of a server with 100 keys in its append-only file, and 50 in dump.rdb.
FACTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an old append-only file: the snapshot is ignored": (lambda _: None, "100 keys"),
    "no append-only directory: it starts empty": (put_only_the_dump, "0 keys"),
    "no manifest: silently empty": (lambda data: next((data / "appendonlydir").glob("*.manifest")).unlink(), "0 keys"),
    "no base: it refuses": (lambda data: next((data / "appendonlydir").glob("*.base.*")).unlink(), "refuses"),
    "a cut tail: it loads with a warning": (lambda data: cut(the_old_log(data), 1.0), "99 keys"),
    "damage in the middle: it refuses": (lambda data: spoil(the_old_log(data)), "refuses"),
}


@pytest.mark.parametrize("fact", FACTS)
def test_what_redis_does_with_a_directory(fact: str, start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    client = start(data, appendonly="yes", appendfsync="everysec")
    for number in range(50):
        client.set(f"k{number}", number)
    client.save()
    for number in range(50, 100):
        client.set(f"k{number}", number)
    os.kill(client.info("server")["process_id"], signal.SIGKILL)
    change, expected = FACTS[fact]
    change(data)
    assert outcome(start, data, appendonly="yes") == expected


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="cut"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:], id="one bit"),
        pytest.param(lambda content: b"PGDMP" + content, id="foreign"),
    ],
)
def test_a_damaged_snapshot_is_named_before_a_server_reads_it(spoilt: Callable[[bytes], bytes], start: Start, tmp_path: Path) -> None:
    client = start(tmp_path / "data")
    client.set("k", "v" * 500)
    client.rpush("l", *range(300))
    driver.fetch(client, tmp_path / "set.rdb")
    (tmp_path / "spoilt.rdb").write_bytes(spoilt((tmp_path / "set.rdb").read_bytes()))
    with pytest.raises(PereneError, match=r"checking spoilt\.rdb failed"):
        driver.check(tmp_path / "spoilt.rdb")


def test_a_store_that_evicts_is_warned_of(start: Start, repository: Repository, tmp_path: Path) -> None:
    client = start(tmp_path / "data", maxmemory="100mb", maxmemory_policy="allkeys-lru")
    assert any("allkeys-lru may evict" in warning for warning in backed_up(client, repository).warnings)
