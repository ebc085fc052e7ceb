"""Olt on a real PostgreSQL and a real Redis: the hour's tasks, a worker that dies, the cache and its lifetimes."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from perene.backup.postgres.server import Server
from tests.examples.conftest import ROOT, Run
from tests.programs import needs

pytestmark = needs("redis-server")


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis on a socket, as both stores: database 0 for tasks, 1 for the cache."""
    folder = tmp_path_factory.mktemp("r")
    program = shutil.which("redis-server")
    assert program
    command = [program, "--port", "0", "--unixsocket", str(folder / "s"), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        eventually((folder / "s").exists)
        yield f"unix://{folder}/s"
        server.terminate()


@pytest.fixture
def stores(server: Server, queue: str, app: Run, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE olt")
    words = ("--database", f"host={server.host} user={server.user} dbname=olt", "--tasks", f"{queue}?db=0", "--cache", f"{queue}?db=1")
    assert app("setup", *words[:2]).returncode == 0
    made = app("generate", *words, "--media", str(tmp_path), "--units", "60")
    assert made.returncode == 0, made.stderr
    yield words
    redis.Redis.from_url(queue).flushall()
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE olt WITH (FORCE)")


def eventually(check: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def running(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen([sys.executable, str(ROOT / "examples/olt/app.py"), *words])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_the_hours_tasks_are_queued_once_worked_off_and_seen(stores: tuple[str, ...], app: Run, queue: str, tmp_path: Path) -> None:
    assert json.loads(app("schedule", *stores).stdout) == {"queued": 4}
    assert json.loads(app("schedule", *stores).stdout) == {"queued": 0}, "what still waits is not queued twice"

    tasks = redis.Redis.from_url(f"{queue}?db=0", decode_responses=True)
    with running("worker", *stores, "--logs", str(tmp_path)) as worker:
        eventually(lambda: tasks.hlen("tasks:status") == 4 and not tasks.llen("tasks:working"))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    found = json.loads(app("status", *stores).stdout)
    assert (found["waiting"], found["working"], found["last"]["unit"]["rows"]) == (0, 0, 60)
    assert "collected unit: 60 rows" in (tmp_path / "worker.log").read_text()


def test_a_task_of_a_dead_worker_is_done_by_the_next(stores: tuple[str, ...], app: Run, queue: str, tmp_path: Path) -> None:
    tasks = redis.Redis.from_url(f"{queue}?db=0", decode_responses=True)
    tasks.lpush("tasks:working", json.dumps({"kind": "customer", "at": 0}))
    with running("worker", *stores, "--logs", str(tmp_path)):
        eventually(lambda: tasks.hget("tasks:status", "customer"))
        eventually(lambda: tasks.llen("tasks:working") == 0)
    assert "dead worker" in (tmp_path / "worker.log").read_text()


def test_what_is_read_is_cached_for_its_time_and_dropped_when_it_changes(stores: tuple[str, ...], queue: str, tmp_path: Path) -> None:
    cache = redis.Redis.from_url(f"{queue}?db=1", decode_responses=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with running("web", *stores, "--media", str(tmp_path), "--logs", str(tmp_path), "--port", address.rpartition(":")[2]):

        def ask(path: str, body: bytes | None = None) -> bytes:
            with urllib.request.urlopen(address + path, body, timeout=10) as answer:  # noqa: S310 - the address is ours
                return bytes(answer.read())

        def up() -> bool:
            with contextlib.suppress(OSError):
                return bool(ask("/health"))
            return False

        eventually(up)
        ask("/equipment")
        ask("/customers")
        assert 290 < cache.ttl("rows:equipment") <= 300
        assert 3590 < cache.ttl("rows:customer") <= 3600
        ask("/equipment", json.dumps({"name": "new"}).encode())
        assert cache.get("rows:equipment") is None
        assert b'"new"' in ask("/equipment")
        ask("/media/photo.jpg", b"picture")
        assert (tmp_path / "photo.jpg").read_bytes() == b"picture"
        assert json.loads(ask("/status"))["waiting"] == 0
