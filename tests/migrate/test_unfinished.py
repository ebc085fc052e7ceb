"""What PostgreSQL refuses in a transaction: begun and not finished, then cleaned up and finished by the next run."""

import pytest

from perene.errors import PereneError
from perene.migrate.ledger import applied
from tests.migrate.conftest import Database

BUILD = "CREATE INDEX CONCURRENTLY users_name ON users (name);"
DROP = "DROP INDEX CONCURRENTLY users_name;"


@pytest.fixture
def users(database: Database) -> Database:
    table = "CREATE TABLE users (id bigint PRIMARY KEY, name text); INSERT INTO users SELECT i, i::text FROM generate_series(1, 1000) i;"
    database.script("001_tables", table, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    return database


def begin(database: Database, version: int, statement: int, *, action: str = "apply", half: str = "up") -> None:
    """The trace of a runner that was killed during a statement."""
    (one,) = (m for m in database.deployment().migrations if m.version == version)
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO perene.migration_progress VALUES (%s, %s, %s, %s, false)",
            (version, action, getattr(one, half).checksum, statement),
        )


def valid(database: Database) -> object:
    return database.value("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('users_name')")


def test_an_invalid_index_of_an_interrupted_run_is_dropped_and_built_again(users: Database) -> None:
    users.script("002_index", BUILD, DROP)
    begin(users, 2, 1)
    with users.connect("migrator") as connection:
        connection.execute("CREATE INDEX users_name ON users (name)")
    with users.connect() as connection:
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name'::regclass")
    assert valid(users) is False
    users.deployment().apply()
    assert valid(users) is True
    assert users.value("SELECT count(*) FROM perene.migration_progress") == 0


def test_an_index_that_was_finished_but_not_recorded_is_not_built_again(users: Database) -> None:
    users.script("002_index", BUILD, DROP)
    begin(users, 2, 1)
    with users.connect("migrator") as connection:
        connection.execute("CREATE INDEX users_name ON users (name)")
    before = users.value("SELECT 'users_name'::regclass::oid")
    users.deployment().apply()
    assert users.value("SELECT 'users_name'::regclass::oid") == before


def test_an_index_that_no_migration_began_is_neither_taken_nor_dropped(users: Database) -> None:
    users.script("002_index", BUILD, DROP)
    with users.connect("migrator") as connection:
        connection.execute("CREATE INDEX users_name ON users (name)")
    with pytest.raises(PereneError, match=r"there is already an index public\.users_name"):
        users.deployment().apply()
    assert valid(users) is True
    with users.connect() as connection:
        assert len(applied(connection)) == 1


def test_a_failing_unique_index_leaves_no_invalid_one_after_the_data_is_repaired(users: Database) -> None:
    users.script("002_index", BUILD.replace("CREATE", "CREATE UNIQUE"), DROP)
    with users.connect("app") as connection:
        connection.execute("INSERT INTO users VALUES (5000, '7')")
    with pytest.raises(PereneError, match="could not create unique index"):
        users.deployment().apply()
    assert valid(users) is False, "PostgreSQL leaves it behind"
    with users.connect("app") as connection:
        connection.execute("DELETE FROM users WHERE id = 5000")
    users.deployment().apply()
    assert valid(users) is True


def test_a_script_of_both_kinds_runs_each_statement_once(users: Database) -> None:
    insert = "INSERT INTO users VALUES (9000, 'once');"
    users.script("002_mixed", insert + BUILD.replace("CREATE", "CREATE UNIQUE") + "INSERT INTO users VALUES (9001, 'after');", DROP)
    with users.connect("app") as connection:
        connection.execute("INSERT INTO users VALUES (5000, '7')")
    with pytest.raises(PereneError, match="could not create unique index"):
        users.deployment().apply()
    with users.connect("app") as connection:
        connection.execute("DELETE FROM users WHERE id = 5000")
    users.deployment().apply()
    assert users.value("SELECT count(*) FROM users WHERE id >= 9000") == 2


def test_a_begun_script_that_changes_is_refused(users: Database) -> None:
    users.script("002_index", BUILD, DROP)
    begin(users, 2, 1)
    users.script("002_index", BUILD.replace("(name)", "(id)"), DROP)
    with pytest.raises(PereneError, match="apply of version 2 was begun with another text"):
        users.deployment().apply()


def test_an_interrupted_revert_is_finished_by_revert_and_not_by_apply(users: Database) -> None:
    users.script("002_index", BUILD, DROP)
    users.deployment().apply()
    begin(users, 2, 1, action="revert", half="down")
    with pytest.raises(PereneError, match="revert of version 2 is not finished"):
        users.deployment().apply()
    users.deployment().revert()
    assert valid(users) is None


def test_a_pending_detach_is_finalised(users: Database) -> None:
    users.script(
        "002_parts",
        "CREATE TABLE logs (i int) PARTITION BY RANGE (i); CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10);",
        "DROP TABLE logs;",
        revert="loses-data: logs",
    )
    users.deployment().apply()
    users.script(
        "003_detach",
        "ALTER TABLE logs DETACH PARTITION logs_1 CONCURRENTLY;",
        "ALTER TABLE logs ATTACH PARTITION logs_1 FOR VALUES FROM (0) TO (10);",
        phase="contract",
        compatible=">=2",
    )
    begin(users, 3, 1)
    with users.connect() as connection:
        connection.execute("UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'logs_1'::regclass")
    users.deployment().apply(accept_loss="kept as a table of its own")
    assert users.value("SELECT count(*) FROM pg_inherits WHERE inhrelid = 'logs_1'::regclass") == 0


def test_reindex_leftovers_are_dropped(users: Database) -> None:
    users.script("002_index", BUILD, DROP)
    users.deployment().apply()
    users.script("003_reindex", "REINDEX INDEX CONCURRENTLY users_name;", "SELECT 1;")
    begin(users, 3, 1)
    with users.connect("migrator") as connection:
        connection.execute("CREATE INDEX users_name_ccnew ON users (name)")
    with users.connect() as connection:
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name_ccnew'::regclass")
    users.deployment().apply()
    assert users.value("SELECT count(*) FROM pg_class WHERE relname ~ '_cc(new|old)'") == 0
