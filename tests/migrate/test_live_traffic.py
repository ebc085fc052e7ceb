"""An application that writes during every kind of migration: no write lost, none blocked longer than the stated limit, measured."""

import threading
import time

import pytest

from perene.errors import PereneError
from tests.migrate.conftest import QUICK, Database

TABLES = """
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL, name varchar(20), note text, old text);
INSERT INTO customers VALUES (1);
INSERT INTO orders (n, name, note) SELECT i, i::text, 'start' FROM generate_series(1, 30000) i;
"""
NOTHING = "SELECT 1;"
# label: (up, down, header). Everything that the judgement knows by another lock or another cost.
KINDS = {
    "002_add_column": ("ALTER TABLE orders ADD COLUMN phone text;", "ALTER TABLE orders DROP COLUMN phone;", {"revert": "loses-data: x"}),
    "003_default": ("ALTER TABLE orders ADD COLUMN paid boolean NOT NULL DEFAULT false;", NOTHING, {}),
    "004_widen": ("ALTER TABLE orders ALTER COLUMN name TYPE varchar(40);", NOTHING, {}),
    "005_rewrite": ("ALTER TABLE orders ALTER COLUMN n TYPE bigint;", NOTHING, {}),
    "006_index": ("CREATE INDEX orders_n ON orders (n);", "DROP INDEX orders_n;", {}),
    "007_concurrently": ("CREATE INDEX CONCURRENTLY orders_name ON orders (name);", "DROP INDEX CONCURRENTLY orders_name;", {}),
    "008_check": (
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (n > 0) NOT VALID;",
        "ALTER TABLE orders DROP CONSTRAINT positive;",
        {},
    ),
    "009_validate": ("ALTER TABLE orders VALIDATE CONSTRAINT positive;", NOTHING, {}),
    "010_reference": (
        "ALTER TABLE orders ADD COLUMN customer bigint REFERENCES customers (id);",
        "ALTER TABLE orders DROP COLUMN customer;",
        {"revert": "loses-data: x"},
    ),
    "011_backfill": ("UPDATE orders SET phone = 'none' WHERE phone IS NULL AND id <= 20000;", NOTHING, {}),
    "012_not_null": ("ALTER TABLE orders ALTER COLUMN note SET NOT NULL;", "ALTER TABLE orders ALTER COLUMN note DROP NOT NULL;", {}),
    "013_trigger": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;"
        "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();",
        "DROP TRIGGER t ON orders; DROP FUNCTION f;",
        {},
    ),
    "014_reindex": ("REINDEX INDEX CONCURRENTLY orders_name;", NOTHING, {}),
    "015_vacuum": ("VACUUM orders;", NOTHING, {}),
    "016_contract": (
        "ALTER TABLE orders DROP COLUMN old;",
        "ALTER TABLE orders ADD COLUMN old text;",
        {"phase": "contract", "compatible": ">=2"},
    ),
    "017_rename": (
        "ALTER TABLE orders RENAME COLUMN name TO title;",
        "ALTER TABLE orders RENAME COLUMN title TO name;",
        {"phase": "contract", "compatible": ">=2"},
    ),
}


class Application:
    """Writes and rewrites its rows without a pause, in short transactions; remembers how long each took."""

    def __init__(self, database: Database) -> None:
        self.database, self.written, self.longest, self.errors = database, 0, 0.0, list[str]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Application":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def take_longest(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest

    def _run(self) -> None:
        with self.database.connect("app") as connection:
            while not self._stop.is_set():
                start = time.monotonic()
                try:
                    with connection.transaction():
                        connection.execute("INSERT INTO orders (n, note) VALUES (1, 'application')")
                        connection.execute("UPDATE orders SET note = note WHERE id = 25000")
                    self.written += 1
                except Exception as error:  # noqa: BLE001 - every failure of the application is a failure of the test
                    self.errors.append(repr(error))
                self.longest = max(self.longest, time.monotonic() - start)


def test_no_kind_of_migration_loses_a_write_or_blocks_one_longer_than_the_limit(database: Database) -> None:
    database.script("001_tables", TABLES, "DROP TABLE orders; DROP TABLE customers;", revert="loses-data: all")
    database.deployment().apply()
    waits: dict[str, float] = {}
    with Application(database) as application:
        for label, (up, down, header) in KINDS.items():
            database.script(label, up, down, **header)
            application.take_longest()
            (done,) = database.deployment().apply(accept_loss="a test of locks")
            waits[done.migration.name] = application.take_longest()
    assert not application.errors, "no write of the application fails"
    assert database.value("SELECT count(*) FROM orders WHERE note = 'application'") == application.written, "no write is lost"
    limit = QUICK.blocked.seconds
    assert max(waits.values()) < limit, f"longest waits, seconds, limit {limit}: {waits}"


def test_a_rewrite_that_would_block_too_long_is_refused_before_it_starts(database: Database) -> None:
    database.script("001_tables", TABLES, "DROP TABLE orders; DROP TABLE customers;", revert="loses-data: all")
    database.deployment().apply()
    with database.connect() as connection:
        connection.execute("INSERT INTO orders (n, note) SELECT i, repeat('x', 400) FROM generate_series(1, 70000) i")
    database.script("002_rewrite", "ALTER TABLE orders ALTER COLUMN n TYPE bigint;", NOTHING)
    with pytest.raises(PereneError, match="others would wait longer than 1s"):
        database.deployment().apply()
    assert database.value("SELECT count(*) FROM perene.migrations") == 1
