"""Real servers and real repositories for the tests of backups."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.backup.repository import Repository
from perene.drill.scratch import scratch
from tests.servers import debian13

PASSWORD = b"a password for tests"


@pytest.fixture(scope="session", autouse=True)
def debian_programs() -> Iterator[None]:
    """Debian 13's PostgreSQL 17 and restic before everything else on PATH."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{debian13()}:{before}"
    yield
    os.environ["PATH"] = before


@pytest.fixture(scope="session")
def server(debian_programs: None) -> Iterator[Server]:
    """A PostgreSQL 17 for the whole session; each test makes its own database."""
    with scratch(settings={"max_prepared_transactions": "5", "wal_level": "replica"}) as running:
        yield running


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory, debian_programs: None) -> Path:
    """An initialised repository to be copied: making one takes a second, because restic measures the machine for its key."""
    path = tmp_path_factory.mktemp("empty") / "repository"
    Repository(url=str(path), password=lambda: PASSWORD, host="test").init()
    return path


@pytest.fixture
def repository(tmp_path: Path, empty_repository: Path) -> Repository:
    """A new repository on a volume."""
    shutil.copytree(empty_repository, tmp_path / "repository")
    return Repository(url=str(tmp_path / "repository"), password=lambda: PASSWORD, host="test", retry_lock="1s")
