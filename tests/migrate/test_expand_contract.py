"""Expand and contract: what takes something away waits for the old version; a revert keeps what was written meanwhile."""

import pytest

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate.deploy import Applications
from tests.migrate.conftest import Database

LUX = Applications(name="direito-lux")


@pytest.fixture
def contracting(database: Database) -> Database:
    table = "CREATE TABLE users (id bigint PRIMARY KEY, name text, full_name text);"
    database.script("001_tables", table, "DROP TABLE users;", revert="loses-data: the users")
    database.deployment().apply()
    database.script(
        "002_drop_name",
        "ALTER TABLE users DROP COLUMN name;",
        "ALTER TABLE users ADD COLUMN name text;",
        phase="contract",
        compatible=">=2.0",
    )
    return database


def test_a_contracting_migration_is_refused_while_an_old_version_is_registered(contracting: Database) -> None:
    with contracting.connect("app") as connection:
        connection.execute("INSERT INTO perene.application (instance, version) VALUES ('pod-1', '1.4')")
    with pytest.raises(PereneError, match=r"version 1\.4 of the application runs, and 002_drop_name leaves a schema for >=2\.0") as refused:
        contracting.deployment(applications=LUX).apply(accept_loss="moved to full_name")
    assert refused.value.exit_code is ExitCode.CANNOT_TELL
    with contracting.connect("app") as connection:
        connection.execute("UPDATE perene.application SET version = '2.0'")
    assert len(contracting.deployment(applications=LUX).apply(accept_loss="moved to full_name")) == 1


def test_a_session_of_an_old_version_counts_even_without_a_registration(contracting: Database) -> None:
    with contracting.connect("app") as connection:
        connection.execute("SET application_name = 'direito-lux/1.9'")
        with pytest.raises(PereneError, match=r"version 1\.9 of the application runs"):
            contracting.deployment(applications=LUX).apply(accept_loss="moved")


def test_an_old_registration_that_nobody_renews_does_not_count_and_then_nobody_can_tell(contracting: Database) -> None:
    with contracting.connect("app") as connection:
        connection.execute("INSERT INTO perene.application VALUES ('pod-1', '1.4', now() - interval '1 hour')")
    with pytest.raises(PereneError, match="no version of the application is known to run"):
        contracting.deployment(applications=LUX).apply(accept_loss="moved")


def test_data_is_not_lost_without_a_reason_and_the_reason_is_in_the_audit(contracting: Database) -> None:
    with pytest.raises(PereneError, match="LOSES-DATA") as refused:
        contracting.deployment().apply()
    assert refused.value.exit_code is ExitCode.LOSES_DATA
    contracting.deployment().apply(accept_loss="moved to full_name")
    assert contracting.value("SELECT evidence FROM perene.migration_audit ORDER BY id DESC LIMIT 1") == "loss accepted: moved to full_name"


def test_a_revert_copies_what_was_written_meanwhile(database: Database) -> None:
    database.script("001_tables", "CREATE TABLE users (id bigint PRIMARY KEY);", "DROP TABLE users;", revert="loses-data: the users")
    database.script("002_phone", "ALTER TABLE users ADD COLUMN phone text;", "ALTER TABLE users DROP COLUMN phone;", revert="loses-data: x")
    database.deployment().apply()
    with database.connect("app") as connection:
        connection.execute("INSERT INTO users VALUES (1, '+55'), (2, NULL)")
    (phone, users) = (database.deployment().revert()[0], database.deployment().revert()[0])
    assert phone.kept[0].endswith("1 rows of public.users.phone")
    assert database.value(f"SELECT phone FROM {phone.kept[0].split(':')[0]} WHERE id = 1") == "+55"
    assert users.kept[0].endswith("2 rows of public.users"), "a dropped table is copied whole"
    assert database.value("SELECT detail FROM perene.migration_audit WHERE action = 'revert' AND version = 2") == phone.kept[0]


def test_what_cannot_be_reverted_says_so(database: Database) -> None:
    database.script("001_tables", "CREATE TABLE users (id bigint);", "", revert="impossible: it is the first one")
    database.deployment().apply()
    with pytest.raises(PereneError, match="001_tables cannot be reverted: it is the first one"):
        database.deployment().revert()


def test_a_revert_that_deletes_rows_needs_a_reason(database: Database) -> None:
    database.script("001_tables", "CREATE TABLE users (id bigint);", "DROP TABLE users;", revert="loses-data: x")
    database.script("002_seed", "INSERT INTO users VALUES (1);", "DELETE FROM users WHERE id = 1;", revert="loses-data: the row")
    database.deployment().apply()
    with pytest.raises(PereneError, match="delete-rows") as refused:
        database.deployment().revert()
    assert refused.value.exit_code is ExitCode.LOSES_DATA
    database.deployment().revert(accept_loss="test data")
    assert database.value("SELECT count(*) FROM users") == 0
