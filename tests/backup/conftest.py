"""Real servers and real repositories for the tests of backups."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.backup.repository import Repository
from perene.drill.scratch import scratch
from tests.backup.kills import DATABASE, PASSWORD, Victims, repository_at
from tests.programs import needs
from tests.quick_key import quicken


@needs("postgres")
@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL 17 for the whole session; each test makes its own database."""
    with scratch(settings={"max_prepared_transactions": "5", "wal_level": "replica"}) as running:
        yield running


@needs("restic", "zstd")
@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised repository to be copied. A key of restic costs half a second at each call; this one opens at once."""
    path = tmp_path_factory.mktemp("empty") / "repository"
    Repository(url=str(path), password=lambda: PASSWORD, host="test").init()
    quicken(path, PASSWORD)
    return path


@pytest.fixture
def repository(tmp_path: Path, empty_repository: Path) -> Repository:
    """A new repository on a volume."""
    shutil.copytree(empty_repository, tmp_path / "repository")
    return Repository(url=str(tmp_path / "repository"), password=lambda: PASSWORD, host="test", retry_lock="1s")


@pytest.fixture(scope="module")
def victims(server: Server, empty_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    """A small database with one whole set."""
    path = tmp_path_factory.mktemp("kills") / "repository"
    shutil.copytree(empty_repository, path)
    made = Victims(server, repository_at(str(path)), random.Random(1))  # noqa: S311 - moments of a kill, no secret
    made.fill(20_000)
    yield made
    with server.connect("postgres", autocommit=True) as admin:
        for name in (DATABASE, *made.copies()):
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
