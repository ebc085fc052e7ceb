"""A migration on a full disk: nothing of it is left, the application's rows stay, and it runs when there is room again."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from perene.errors import PereneError
from tests.migrate.conftest import Database, Server
from tests.programs import needs, postgres
from tests.small_disk import small_disk as mounted

SIZE_MIB, BALLAST_MIB = 300, 120


@needs("mount", "umount", "postgres")
@pytest.fixture
def small_disk() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="perene-pg."))
    try:
        with mounted(directory, SIZE_MIB * 2**20):
            server = Server(directory, postgres())
            server.start()
            (directory / "ballast").write_bytes(b"\0" * BALLAST_MIB * 2**20)
            yield server
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def answers_again(server: Server, database: Database) -> None:
    """Without room for its log the server stops or recovers by itself; in the tier Kubernetes starts it again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            database.value("SELECT 1")
        except psycopg.OperationalError:
            if not (server.directory / "data/postmaster.pid").exists():
                server.start_again()
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not come back")


@pytest.mark.e2e
@pytest.mark.parametrize("concurrent", [False, True], ids=["in a transaction", "outside one"])
def test_a_full_disk_leaves_nothing_half_done(small_disk: Server, tmp_path: Path, concurrent: bool) -> None:
    database = Database(small_disk, small_disk.new_database(), tmp_path)
    database.script("001_tables", "CREATE TABLE users (id bigint PRIMARY KEY, note text);", "DROP TABLE users;", revert="loses-data: x")
    database.deployment().apply()
    rows = 250_000 if concurrent else 1000
    with database.connect("app") as connection:
        connection.execute(f"INSERT INTO users SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, {rows}) i")
    if concurrent:
        database.script("002_big", "CREATE INDEX CONCURRENTLY users_note ON users (note, id);", "DROP INDEX CONCURRENTLY users_note;")
        # The rest of the disk, but for a little that the server needs to go on.
        free = shutil.disk_usage(small_disk.directory).free - 8 * 2**20
        (small_disk.directory / "more").write_bytes(b"\0" * free)
    else:
        fill = "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 30) AS t FROM generate_series(1, 250000) i;"
        database.script("002_big", fill, "DROP TABLE big;", revert="loses-data: it")
    with pytest.raises(PereneError, match=r"No space left|connection|database") as failed:
        database.deployment().apply()
    (small_disk.directory / "ballast").unlink()
    (small_disk.directory / "more").unlink(missing_ok=True)
    answers_again(small_disk, database)
    assert database.value("SELECT array_agg(version) FROM perene.migrations") == [1], str(failed.value)
    assert database.value("SELECT to_regclass('big')") is None
    assert database.value("SELECT count(*) FROM users") == rows, "what the application wrote is there"
    if not concurrent:
        database.script("002_big", fill.replace("250000", "1000"), "DROP TABLE big;", revert="loses-data: it")
    database.deployment().apply()
    assert database.value("SELECT array_agg(version) FROM perene.migrations") == [1, 2]
    assert database.value("SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'users'::regclass") is True
