"""A restore in place onto a server whose disk fills on the way: the old data stays, the fault is named, and a rerun finishes."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perene.backup.postgres.server import Server
from perene.backup.run import make_set
from perene.drill.scratch import scratch
from perene.exit_codes import ExitCode
from perene.restore import postgres
from tests.programs import needs
from tests.restore.conftest import NAME, ROWS, Shop, document, fresh, opened, quiet
from tests.restore.test_beside import Perene
from tests.restore.test_in_place import ONE
from tests.small_disk import small_disk as mounted

pytestmark = pytest.mark.slow

SIZE, LEFT = 900 * 2**20, 25 * 2**20
# Its log is kept in segments that are there already: what runs out of room is the data, and the server lives on.
LOG = {"wal_level": "replica", "min_wal_size": "192MB", "max_wal_size": "224MB", "shared_buffers": "16MB"}
SEGMENTS = 14


@needs("mount", "umount")
@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 900 MB."""
    folder = Path(tempfile.mkdtemp(prefix="perene-small."))
    try:
        with mounted(folder, SIZE, "mode=755"):
            yield folder
    finally:
        folder.rmdir()


@needs("postgres")
@pytest.fixture
def small(small_disk: Path) -> Iterator[Server]:
    """A server on it."""
    with scratch(small_disk, LOG) as running:
        yield running


@pytest.fixture
def shop(small: Server, empty_repository: Path, tmp_path: Path) -> Shop:
    """The shop on that server, with 50 MB more than elsewhere."""
    shutil.copytree(empty_repository, tmp_path / "repository")
    files = tmp_path / "volume" / "uploads"
    with small.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE shopper LOGIN")
        admin.execute("CREATE DATABASE template_shop")
    with small.connect("template_shop", autocommit=True) as connection:
        connection.execute(f"CREATE TABLE public.photo AS SELECT i, md5(i::text) AS m FROM generate_series(1, {ROWS}) i")
        connection.execute(
            "CREATE TABLE public.heavy (a text); INSERT INTO public.heavy SELECT repeat(md5(i::text), 15) FROM generate_series(1, 100000) i"
        )
    fresh(small, files)
    tier, repository = document(tmp_path / "repository", small, files), opened(tmp_path / "repository")
    made = make_set(tier, repository, stages=quiet(), with_canary=False)
    with small.connect("postgres", autocommit=True) as admin:
        for _ in range(SEGMENTS):
            admin.execute("SELECT pg_switch_wal() FROM pg_current_xact_id()")
        for _ in range(2):
            admin.execute("CHECKPOINT")
    return Shop(small, files, repository, tier, made)


def test_a_restore_whose_disk_fills_leaves_the_old_data_and_is_finished_by_a_rerun(
    shop: Shop, perene: Perene, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.spoil()
    ballast, enough = small_disk / "ballast", postgres.room_on

    def then_somebody_fills_it(*arguments: Any) -> None:
        """There was room when it was asked for."""
        enough(*arguments)
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - LEFT))

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(postgres, "room_on", then_somebody_fills_it)
        code, said = perene(*ONE)
    assert code == ExitCode.FAILED, said
    assert "No space left on device" in said, "the cause is named, in the server's own words"
    assert "Traceback" not in said
    assert shop.state[0] == "old", "what is live was not touched"
    assert f"{NAME}__old" not in {f"{NAME}{ending}" for ending in shop.databases()}, "nothing was exchanged"
    assert shop.sql("SELECT count(*) FROM heavy") == [(100_000,)]
    full, said = perene(*ONE)
    assert (full, shop.state[0]) == (ExitCode.CANNOT_TELL, "old"), "while it is full, it is refused before anything is tried"
    assert "GB are needed on the server" in said
    ballast.unlink()
    again, said = perene(*ONE)
    assert (again, shop.state[0]) == (ExitCode.DONE, "new"), said
    assert shop.databases() == {"", "__old"}
