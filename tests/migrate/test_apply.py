"""Scripts run wholly or not at all, once, recorded in their own transaction, under limits that are really in effect."""

import threading
import time

import pytest

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate import session
from perene.migrate.ledger import applied, audit
from tests.migrate.conftest import QUICK, Database

TABLE = "CREATE TABLE users (id bigint PRIMARY KEY, name text);"


def test_pending_scripts_run_once_in_order_and_are_recorded_with_checksum_and_audit(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.script("002_seed", "INSERT INTO users VALUES (1, 'ana');", "DELETE FROM users WHERE id = 1;", revert="loses-data: the row")
    first, second = database.deployment().apply(), database.deployment().apply()
    assert [done.migration.version for done in first] == [1, 2]
    assert second == [], "what is applied never runs again"
    with database.connect() as connection:
        rows, events = applied(connection), audit(connection)
    assert [row.version for row in rows] == [1, 2]
    assert len(rows[0].up_checksum) == 64
    event = events[0]
    assert (event.action, event.result, event.by, event.commit, event.login) == ("apply", "done", "ana", "c0ffee", "migrator")
    assert (event.lock_timeout, event.statement_timeout) == ("300ms", "30s"), "the audit says which limits were in effect"
    assert database.value("SELECT tableowner FROM pg_tables WHERE tablename = 'users'") == "owner", "tables belong to the common owner"


def test_the_ledger_row_is_written_in_the_transaction_of_its_script(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    same = database.value(
        "SELECT (SELECT xmin FROM perene.migrations WHERE version = 1) = (SELECT xmin FROM pg_class WHERE oid = 'users'::regclass)"
    )
    assert same is True, "applied and recorded must be one thing"


def test_a_failing_script_leaves_nothing_but_its_failure_in_the_audit(database: Database) -> None:
    database.script("001_tables", TABLE + " INSERT INTO users SELECT 1/0;", "DROP TABLE users;", revert="loses-data: the users")
    with pytest.raises(PereneError, match="division by zero") as failed:
        database.deployment().apply()
    assert failed.value.exit_code is ExitCode.FAILED
    assert "statement 2" in str(failed.value), "the person sees which statement"
    assert database.value("SELECT to_regclass('users')") is None, "never half-way"
    with database.connect() as connection:
        assert applied(connection) == ()
        assert [(event.action, event.result) for event in audit(connection)] == [("apply", "failed")]


def test_limits_are_in_effect_in_the_session_although_the_login_sets_another_role(database: Database) -> None:
    with session.connect(database.conninfo(), limits=QUICK, role="migrator") as connection:
        assert session.in_effect(connection) == ("300ms", "30s")
        assert connection.execute("SELECT current_user::text").fetchone() == ("owner",), "the role of the tier's roles job"


def test_a_script_that_changes_a_limit_behind_the_runner_is_rolled_back(database: Database) -> None:
    database.script("001_tables", TABLE + " SELECT set_config('lock_timeout', '0', true);", "DROP TABLE users;", revert="loses-data: users")
    with pytest.raises(PereneError, match="lock_timeout is 0 ms, not 300 ms"):
        database.deployment().apply()
    assert database.value("SELECT to_regclass('users')") is None


def test_a_wrong_role_is_refused_before_anything_is_made(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    for user in ("app", "admin"):
        with pytest.raises(PereneError, match=f"logged in as {user}, not as migrator") as refused:
            database.deployment(user=user).apply()
        assert refused.value.exit_code is ExitCode.CANNOT_TELL
    assert database.value("SELECT to_regclass('perene.migrations')") is None


def test_the_audit_only_grows(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    with database.connect("migrator") as connection:
        for change in ("DELETE FROM", "UPDATE", "TRUNCATE"):
            query = f"{change} perene.migration_audit" + (" SET by = 'eve'" if change == "UPDATE" else "")
            with pytest.raises(Exception, match="only grows"):
                connection.execute(query)


@pytest.mark.parametrize("half", ["up", "down"])
def test_a_changed_checksum_of_an_applied_migration_is_refused_everywhere(database: Database, half: str) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    path = database.directory / f"001_tables.{half}.sql"
    path.write_text(path.read_text() + "-- a word more\n")
    for action in (database.deployment().apply, database.deployment().revert):
        with pytest.raises(PereneError, match=f"the {half} script of 001_tables has changed after it was applied") as refused:
            action()
        assert refused.value.exit_code is ExitCode.CANNOT_TELL


def test_windows_line_ends_do_not_change_a_checksum(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    path = database.directory / "001_tables.up.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert database.deployment().apply() == []


def test_a_migration_before_the_newest_applied_one_is_refused(database: Database) -> None:
    database.script("002_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    database.script("001_early", "CREATE TABLE early (i int);", "DROP TABLE early;", revert="loses-data: it")
    with pytest.raises(PereneError, match="001_early comes before 002"):
        database.deployment().apply()


def test_two_runners_at_once_run_every_script_once(database: Database) -> None:
    database.script("001_tables", TABLE + " SELECT pg_sleep(0.4);", "DROP TABLE users;", revert="loses-data: the users")
    database.script("002_index", "CREATE INDEX CONCURRENTLY users_name ON users (name);", "DROP INDEX CONCURRENTLY users_name;")
    results: list[int] = []
    runners = [threading.Thread(target=lambda: results.append(len(database.deployment().apply()))) for _ in range(2)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(30)
    assert sorted(results) == [0, 2], "the second one waits, then finds nothing to do"


def test_a_blocker_is_waited_for_in_tries_and_then_the_script_runs(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    database.script("002_phone", "ALTER TABLE users ADD COLUMN phone text;", "ALTER TABLE users DROP COLUMN phone;", revert="loses-data: x")
    said: list[str] = []
    with database.connect() as blocker:
        blocker.execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE")
        threading.Timer(1.0, lambda: blocker.execute("COMMIT")).start()
        (done,) = database.deployment(tell=said.append).apply()
        time.sleep(0.2)
    assert done.tries > 1
    assert any("a lock was not to be had in time; rolled back, again in" in line for line in said)


def test_nobody_waits_longer_than_the_limit_behind_a_long_script(database: Database) -> None:
    database.script("001_tables", TABLE, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    database.script(
        "002_slow",
        "ALTER TABLE users ADD COLUMN phone text; SELECT pg_sleep(20);",
        "ALTER TABLE users DROP COLUMN phone;",
        revert="loses-data: x",
    )
    waits: list[float] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        with database.connect("app") as connection:
            while not stop.is_set():
                number, start = number + 1, time.monotonic()
                connection.execute("INSERT INTO users VALUES (%s, 'x')", (number,))
                waits.append(time.monotonic() - start)
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    limits = type(QUICK)(lock=QUICK.lock, statement=QUICK.statement, blocked=QUICK.blocked, attempts=2)
    with pytest.raises(PereneError, match="blocked-limit"):
        database.deployment(limits=limits).apply()
    stop.set()
    writer.join(10)
    assert database.value("SELECT count(*) FROM users") == len(waits), "no write is lost"
    assert 0.8 < max(waits) < QUICK.blocked.seconds + 0.5, f"the longest wait was {max(waits):.2f} s"
