"""Servers of the other stores, real where one can be had."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from perene.backup.qdrant_snapshots import program
from perene.drill.daemon import daemon
from tests.backup.conftest import empty_repository, repository
from tests.programs import needs

__all__ = ["empty_repository", "repository"]
Start = Callable[..., redis.Redis]
DOUBLE = Path(__file__).parents[1] / "doubles" / "qdrant.py"


@needs("redis-server")
@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Redis on a directory with settings; each is gone at the test's end."""
    with ExitStack() as running:
        count = iter(range(100))

        def begin(directory: Path, **settings: str) -> redis.Redis:
            directory.mkdir(exist_ok=True)
            folder = tmp_path / f"server-{next(count)}"
            folder.mkdir()
            socket = folder / "s"
            chosen = {
                "port": "0",
                "unixsocket": str(socket),
                "dir": str(directory),
                "save": "",
                "repl-diskless-sync": "no",
                **{name.replace("_", "-"): value for name, value in settings.items()},
            }
            client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))

            def ready() -> bool:
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    return False

            command = ["redis-server", *(word for name, value in chosen.items() for word in (f"--{name}", value))]
            running.enter_context(daemon(command, what="starting Redis", folder=folder, ready=ready))
            return client

        yield begin


@pytest.fixture
def qdrant_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`real` where a server is on PATH or in PERENE_QDRANT; else `double`."""
    if program():
        return "real"
    script = tmp_path / "qdrant"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {DOUBLE} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setitem(os.environ, "PERENE_QDRANT", str(script))
    return "double"
