"""TimescaleDB comes back whole, restored in parallel, and no retention policy deletes what came back before somebody looked at it."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.recovery_set import PostgresContent
from perene.drill.scratch import scratch
from perene.errors import PereneError
from perene.restore import postgres, timescale
from perene.restore import run as restore
from tests.backup.test_round_trip import backed_up, brought_back
from tests.backup.test_run import quiet
from tests.backup.tiers import tier
from tests.programs import needs

ROWS = 20_000


@needs("postgres", "timescaledb")
@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the extension loaded and its workers awake."""
    settings = {
        "shared_preload_libraries": "'timescaledb'",
        "max_worker_processes": "64",
        "timescaledb.max_background_workers": "16",
        "wal_level": "replica",
    }
    with scratch(settings=settings) as running:
        yield running


@pytest.fixture
def measured(server: Server) -> Iterator[str]:
    """A database with a hypertable of 14 chunks from long ago; the extension in a schema of its own."""
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE measured")
    with server.connect("measured", autocommit=True) as connection:
        connection.execute("SET search_path = public, ts; CREATE SCHEMA ts")
        connection.execute("CREATE EXTENSION timescaledb SCHEMA ts")
        connection.execute("CREATE TABLE reading (at timestamptz NOT NULL, sensor int NOT NULL, value float8)")
        connection.execute("SELECT create_hypertable('reading', 'at', chunk_time_interval => interval '1 day')")
        connection.execute(
            "INSERT INTO reading SELECT timestamptz '2024-01-01 00:00Z' + i * interval '1 minute', i % 10, i / 7.0 "
            f"FROM generate_series(1, {ROWS}) i"
        )
    yield "measured"
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS measured_back WITH (FORCE)")
        admin.execute("DROP DATABASE measured WITH (FORCE)")


def rows(server: Server, database: str) -> int:
    with server.connect(database, autocommit=True) as connection:
        return int(str(connection.execute("SELECT count(*) FROM public.reading").fetchall()[0][0]))


def jobs(server: Server, database: str) -> dict[str, bool]:
    with server.connect(database, autocommit=True) as connection:
        found = connection.execute("SELECT proc_name, scheduled FROM timescaledb_information.jobs WHERE job_id >= 1000").fetchall()
    return {str(name): bool(scheduled) for name, scheduled in found}


def test_a_hypertable_comes_back_on_a_drills_server_with_every_chunk(server: Server, repository: Repository, measured: str) -> None:
    document = tier(repository.url, server=server, databases=(measured,))
    made = make_set(document, repository, stages=quiet(), with_canary=False)
    content = made.stores["main"].content
    assert isinstance(content, PostgresContent)
    assert content.databases[measured].tables["public.reading"].rows == ROWS, "the chunks' rows, not the empty parent's"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        planned = restore.jobs(made, repository, stores=document.stores, work=Path(folder), stages=quiet())
        restorer, job = planned["main"]
        result = restorer.scratch(job)
    assert not result.differences, "\n".join(map(str, result.differences))


def test_names_in_another_encoding_come_back(server: Server, repository: Repository, tmp_path: Path) -> None:
    name = "latin"
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0".encode())
    try:
        with server.connect(name, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION timescaledb SCHEMA public")
            connection.execute('CREATE TABLE public."é" AS SELECT 1 AS "ü"')
        back = brought_back(server, repository, backed_up(server, repository, name), name, tmp_path)
        with server.connect(back, autocommit=True) as connection:
            assert connection.execute('SELECT "ü" FROM public."é"').fetchall() == [(1,)]
    finally:
        with server.connect("postgres", autocommit=True) as admin:
            for one in (name, f"{name}_back"):
                admin.execute(f"DROP DATABASE IF EXISTS {one} WITH (FORCE)".encode())


def test_a_version_that_the_server_does_not_have_is_said(
    server: Server, repository: Repository, measured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = backed_up(server, repository, measured)
    assert isinstance(store.content, PostgresContent)
    store.content.databases[measured].extensions["timescaledb"] = "2.1.99"
    with pytest.raises(PereneError, match=r"2\.1\.99"):
        brought_back(server, repository, store, measured, tmp_path)


@needs("timescaledb-community")
def test_no_policy_deletes_what_came_back_until_it_is_woken(server: Server, repository: Repository, measured: str, tmp_path: Path) -> None:
    with server.connect(measured, autocommit=True) as connection:
        connection.execute("SET search_path = public, ts")
        connection.execute("ALTER TABLE reading SET (timescaledb.compress, timescaledb.compress_segmentby = 'sensor')")
        connection.execute("SELECT compress_chunk(c) FROM show_chunks('reading', older_than => timestamptz '2024-01-10') c")
        connection.execute(
            "CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS SELECT time_bucket('1 hour', at) AS hour, sensor, "
            "avg(value) AS mean FROM reading GROUP BY 1, 2 WITH NO DATA"
        )
        connection.execute("CALL refresh_continuous_aggregate('hourly', NULL, NULL)")
        connection.execute("SELECT alter_job(add_compression_policy('reading', interval '9999 days'), scheduled => false)")
        # All rows are older than 30 days: the policy may not run here, and in what is restored it is due at once.
        connection.execute("SELECT _timescaledb_functions.stop_background_workers()")
        connection.execute("SELECT add_retention_policy('reading', interval '30 days')")
    store = backed_up(server, repository, measured)
    assert isinstance(store.content, PostgresContent)
    counted = store.content.databases[measured].tables
    assert counted["public.reading"].rows == ROWS, "compressed chunks are counted by their rows"
    assert any("_materialized_hypertable" in name and count.rows for name, count in counted.items()), "an aggregate has content of its own"
    target = brought_back(server, repository, store, measured, tmp_path)
    assert not postgres.compared(server, target, measured, store.content)
    time.sleep(3)
    assert rows(server, target) == ROWS
    assert jobs(server, target) == {"policy_compression": False, "policy_retention": False}
    timescale.wake(server, target)
    assert jobs(server, target) == {"policy_compression": False, "policy_retention": True}, "what was off before stays off"
    assert not timescale.asleep(server, target)
    deadline = time.monotonic() + 60
    while rows(server, target) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert rows(server, target) == 0, "the policy was armed all the time"
