"""What goes wrong around a backup or a restore, and what a database can be: each with what must be true afterwards."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.contract.recovery_set import PostgresContent, StoreSet
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import postgres
from tests.backup.kills import DATABASE, QUIET, Victims
from tests.backup.test_round_trip import backed_up, brought_back
from tests.backup.tiers import tier

pytestmark = pytest.mark.slow

HELD = (
    "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.datname = %s AND l.mode = 'AccessShareLock' "
    "AND l.relation > 16384 AND a.state = 'idle in transaction'"
)
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%%SHARE MODE'"
COPYING = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND query LIKE 'COPY %%' AND state = 'active'"


def seen(admin: psycopg.Connection[tuple[object, ...]], query: str, database: str) -> int:
    """Wait until somebody is seen in a database; the first column."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := admin.execute(query.encode(), [database]).fetchall():
            return int(str(found[0][0]))
        time.sleep(0.002)
    raise TimeoutError(query)


def aside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def at_the_dump(server: Server, database: str, act: Callable[[int], None]) -> threading.Thread:
    """Do something, with pg_dump's process, while it waits: behind somebody who wants a table that the backup holds still."""

    def work() -> None:
        with server.connect("postgres", autocommit=True) as admin, server.connect(database) as other:
            seen(admin, HELD, database)
            wanting = aside(lambda: refused(other, "LOCK TABLE public.note IN ACCESS EXCLUSIVE MODE"))
            act(seen(admin, WAITING, database))
            other.cancel()
            wanting.join()

    return aside(work)


def refused(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(statement.encode())


def lose_the_repository(victims: Victims, _: int) -> None:
    Path(victims.repository.url).rename(Path(victims.repository.url).with_suffix(".away"))


def lose_the_server(victims: Victims, process: int) -> None:
    with victims.server.connect("postgres", autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", [process])


@pytest.mark.parametrize("fault", [lose_the_repository, lose_the_server], ids=lambda fault: fault.__name__)
def test_a_backup_that_loses_something_half_way_fails_loudly_and_costs_no_set(
    victims: Victims, fault: Callable[[Victims, int], None]
) -> None:
    document = tier(victims.repository.url, server=victims.server, databases=(DATABASE,))
    saboteur = at_the_dump(victims.server, DATABASE, lambda process: fault(victims, process))
    with pytest.raises(PereneError, match="restic"):
        make_set(document, victims.repository, stages=QUIET, with_canary=False, beat=0.05)
    saboteur.join()
    place = Path(victims.repository.url)
    away = place.with_suffix(".away")
    if away.exists():
        # restic makes the directories that it writes to again, wherever they went.
        assert not (place / "config").exists()
        with pytest.raises(PereneError, match="there is no repository, and something of one: data/"):
            ensure_repository(victims.repository, QUIET)
        shutil.rmtree(place)
        away.rename(place)
        # It went with the lock of this very process, which lives on.
        (place / "locks" / "perene-writer").unlink()
    assert victims.on_hand() == victims.whole
    victims.ends("backup")


@pytest.mark.parametrize("word", ["backup", "restore"])
def test_a_full_disk_fails_the_run_and_the_next_one_works(victims: Victims, word: str) -> None:
    child = victims.start(word, limit=100_000)  # below the smallest pack that a changed chunk makes
    said = child.communicate()[1]
    assert child.returncode in {ExitCode.FAILED, ExitCode.CANNOT_TELL}, said
    assert "file too large" in said.lower(), "the reason is passed on"
    assert victims.on_hand() == victims.whole
    assert not [name for name, comment in victims.copies().items() if comment.endswith("complete")]
    victims.timed(word)


def test_a_corrupted_pack_fails_the_restore_and_what_is_there_is_not_called_complete(victims: Victims) -> None:
    whole = {path: path.read_bytes() for path in Path(victims.repository.url, "data").rglob("*") if path.is_file()}
    large = {path: content for path, content in whole.items() if len(content) > 100_000}
    for path, content in large.items():
        path.chmod(0o600)
        path.write_bytes(content[:5000] + bytes(100) + content[5100:])
    child = victims.start("restore")
    said = child.communicate()[1]
    assert child.returncode == ExitCode.FAILED, said
    assert "restic dump" in said
    assert not [name for name, comment in victims.copies().items() if comment.endswith("complete")]
    for path, content in large.items():
        path.write_bytes(content)
    victims.timed("restore")


CHANGES = {
    # While rows are dumped: what is refused a lock in time, and what goes through and must not be in the set.
    "ALTER TABLE note ADD COLUMN late int": "waits",
    "DROP TABLE note": "waits",
    "TRUNCATE round": "waits",
    "CREATE INDEX late_round ON round (id)": "goes through",
    "CREATE TABLE late (id int)": "goes through",
    "INSERT INTO round VALUES (-1)": "goes through",
    "UPDATE note SET text = 'late' WHERE id = 1": "goes through",
    "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 43'": "goes through",
    "CREATE OR REPLACE VIEW shown AS SELECT id, text FROM note WHERE id > 5": "goes through",
    "GRANT SELECT ON note TO pg_monitor": "goes through",
    "COMMENT ON TABLE note IS 'late'": "goes through",
    "SELECT nextval('ticket')": "goes through",
    "ALTER TYPE mood ADD VALUE 'late'": "goes through",
    "DROP FUNCTION gone()": "goes through",
}


def test_a_schema_that_changes_during_the_dump_is_in_the_set_as_it_was(server: Server, repository: Repository, tmp_path: Path) -> None:
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE changing")
    with server.connect("changing", autocommit=True) as connection:
        connection.execute(
            "SET search_path = public; CREATE TABLE note (id int PRIMARY KEY, text text); CREATE TABLE round (id int); "
            "INSERT INTO note SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 300000) i; CREATE SEQUENCE ticket; "
            "CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'; "
            "CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
            "CREATE VIEW shown AS SELECT id, text FROM note; CREATE TYPE mood AS ENUM ('ok')"
        )
    results = {}

    def change() -> None:
        with server.connect("postgres", autocommit=True) as admin, server.connect("changing", autocommit=True) as connection:
            seen(admin, COPYING, "changing")
            connection.execute("SET search_path = public; SET lock_timeout = '50ms'")
            for statement in CHANGES:
                try:
                    connection.execute(statement.encode())
                    results[statement] = "goes through"
                except Exception as refused:  # noqa: BLE001 - which one is the result
                    results[statement] = "waits" if "lock timeout" in str(refused) else str(refused)
            # And one that does not give up: it goes on when the backup has ended, and the backup does not wait for it.
            connection.execute("SET lock_timeout = 0; ALTER TABLE note ADD COLUMN patient int")

    meddler = aside(change)
    store = backed_up(server, repository, "changing")
    meddler.join()
    assert results == CHANGES
    same_again(server, repository, store, "changing", tmp_path)


STATES = {
    "empty": "",
    "prepared": "CREATE TABLE t (id int); INSERT INTO t VALUES (1)",
    "large_object": "SELECT lo_from_bytea(7, decode(repeat(md5('x'), 1600000), 'hex')); SELECT lo_create(8); "
    "DO $$ DECLARE d int; BEGIN d := lo_open(8, 131072); PERFORM lo_lseek(d, 30000000, 0); PERFORM lowrite(d, 'end'); END $$",
}


@pytest.mark.parametrize("state", STATES)
def test_whatever_a_database_is_it_comes_back(server: Server, repository: Repository, state: str, tmp_path: Path) -> None:
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {state}")
    with server.connect(state, autocommit=True) as connection:
        connection.execute(f"SET search_path = public; {STATES[state]}".encode())
        if state == "prepared":
            connection.execute("BEGIN; INSERT INTO public.t VALUES (2); PREPARE TRANSACTION 'open'")
    store = backed_up(server, repository, state)
    content = same_again(server, repository, store, state, tmp_path)
    if state == "prepared":
        assert any("prepared transaction open" in warning for warning in store.warnings)
        assert content.databases[state].tables["public.t"].rows == 1, "what is not committed is not in the set"
        with server.connect(state, autocommit=True) as connection:
            connection.execute("ROLLBACK PREPARED 'open'")


def test_more_tables_than_the_server_has_locks_for_is_said_with_what_to_raise(server: Server) -> None:
    assert "max_locks_per_transaction" in str(fingerprint.unreadable("many", psycopg.errors.OutOfMemory("out of shared memory")))


def same_again(server: Server, repository: Repository, store: StoreSet, name: str, folder: Path) -> PostgresContent:
    """Restore a database beside itself and compare; both are dropped."""
    assert isinstance(store.content, PostgresContent)
    target = brought_back(server, repository, store, name, folder)
    differences = postgres.compared(server, target, name, store.content)
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {target} WITH (FORCE)")
    assert not differences, "\n".join(map(str, differences))
    return store.content
