"""The fingerprint of a PostgreSQL: counts and order-free hashes of every table, taken in one exported snapshot by several connections.

`hashtextextended` over a row's text is compared with itself only: the same algorithm on the same major version reads both sides.
"""

import hashlib
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from perene.backup.postgres import catalogue
from perene.backup.postgres.server import Server
from perene.contract.recovery_set import Count, DatabaseFingerprint, DatabaseRecord, Role
from perene.errors import PereneError

ATTEMPTS, PATIENCE = 5, "300ms"
FIXES: dict[type[psycopg.Error], str] = {
    psycopg.errors.InsufficientPrivilege: "the backup login needs pg_read_all_data and BYPASSRLS",
    psycopg.errors.LockNotAvailable: "a table was locked for more than a minute: find who holds it (pg_locks), and run the backup again",
    psycopg.errors.OutOfMemory: "every table takes a lock: raise max_locks_per_transaction until its product with max_connections is more",
    psycopg.OperationalError: "see that the server runs, and run the backup again: the earlier sets are untouched",
}


@dataclass(frozen=True)
class Table:
    """A table to be read. whole: with its children (a TimescaleDB hypertable, whose chunks are its content); condition: which rows."""

    schema: str
    name: str
    whole: bool = False
    condition: str = ""

    @property
    def key(self) -> str:
        """`schema.table`, as differences name it."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A database held still: its tables locked against changes of their definition, its snapshot exported.

    What no lock holds still (functions, views, rights) is read at once, beside the dump's own reading of it, and not after the dump.
    """

    server: Server
    database: str
    connection: psycopg.Connection[tuple[object, ...]]
    snapshot: str
    position: str
    tables: tuple[Table, ...]
    objects: dict[str, str]
    extensions: dict[str, str]
    sequences: dict[str, int]


@contextmanager
def freeze(server: Server, database: str) -> Iterator[Frozen]:
    """Hold one database still for a dump and its fingerprint. Writers go on; a change of a table's definition waits."""
    with server.connect(database, autocommit=True) as look, server.connect(database, autocommit=True) as connection:
        try:
            _lock(look, connection)
            snapshot, position = _rows(
                connection, "SELECT pg_export_snapshot(), CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_current_wal_lsn()::text END"
            )[0]
            yield Frozen(
                server=server,
                database=database,
                connection=connection,
                snapshot=snapshot,
                position=position,
                tables=_tables(connection),
                objects=_objects(connection),
                extensions=dict(_rows(connection, catalogue.EXTENSIONS)),
                sequences={name: int(value) for name, value in _rows(connection, catalogue.SEQUENCES)},
            )
        except psycopg.Error as failure:
            raise unreadable(database, failure) from None


def fingerprint(frozen: Frozen, connections: int | None = None) -> DatabaseFingerprint:
    """Everything a restore must bring back, read in the frozen snapshot. connections: two to four by the number of processors."""
    workers = connections or min(4, max(2, os.cpu_count() or 2))
    try:
        return DatabaseFingerprint(
            tables=_count_tables(frozen, workers),
            large_objects=_count(frozen.connection, sql.SQL(catalogue.LARGE_OBJECTS)),
            objects=frozen.objects,
            sequences=frozen.sequences,
            extensions=frozen.extensions,
        )
    except psycopg.Error as failure:
        raise unreadable(frozen.database, failure) from None


def _lock(look: psycopg.Connection[Any], connection: psycopg.Connection[Any]) -> None:
    """Begin, and lock every table before a snapshot is taken, so that no definition can change between the two."""
    for attempt in range(ATTEMPTS):
        names = [sql.Identifier(schema, name) for schema, name, kind in _rows(look, catalogue.TABLES) if kind == "r"]
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            for start in range(0, len(names), 500):
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.SQL(", ").join(names[start : start + 500])))
        except psycopg.errors.UndefinedTable:  # dropped since it was listed
            connection.rollback()
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def roles(connection: psycopg.Connection[Any]) -> dict[str, Role]:
    """The server's roles, without those that belong to the server itself, and without passwords."""
    return {
        name: Role(attributes=tuple(attributes), member_of=tuple(member_of), settings=tuple(settings))
        for name, attributes, member_of, settings in _rows(connection, catalogue.ROLES)
    }


def records(connection: psycopg.Connection[Any], databases: Sequence[str]) -> dict[str, DatabaseRecord]:
    """How each database was made."""
    return {
        name: DatabaseRecord(
            owner=owner,
            encoding=encoding,
            locale_provider=provider,
            locale=locale,
            collate=collate,
            ctype=ctype,
            connection_limit=limit,
            settings=tuple(settings),
            rights=tuple(sorted(rights)),
        )
        for name, owner, encoding, provider, locale, collate, ctype, limit, settings, rights in _rows(
            connection, catalogue.DATABASES, [list(databases)]
        )
    }


def _tables(connection: psycopg.Connection[Any]) -> tuple[Table, ...]:
    tables = {(schema, name): Table(schema, name) for schema, name, _ in _rows(connection, catalogue.TABLES)}
    for schema, name, condition in _rows(connection, catalogue.CONFIGURATION):
        tables[schema, name] = Table(schema, name, condition=condition)
    if _rows(connection, "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"):
        for schema, name in _rows(connection, catalogue.HYPERTABLES):
            tables[schema, name] = Table(schema, name, whole=True)
    return tuple(tables.values())


def _objects(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return {
        f"{kind} {name}": hashlib.sha256(str(definition).encode()).hexdigest()[:16]
        for kind, query in catalogue.OBJECTS.items()
        for name, definition in _rows(connection, query)
    }


def _count_tables(frozen: Frozen, workers: int) -> dict[str, Count]:
    """Largest tables first would need statistics; one queue keeps every connection busy to the end.

    Whoever waits to change a table (for the dump to end) lets no new reader pass. The frozen connection has its lock already, so it reads
    what the others could not.
    """
    waiting: queue.SimpleQueue[Table] = queue.SimpleQueue()
    for table in frozen.tables:
        waiting.put(table)
    found: dict[str, Count] = {}
    passed_over: list[Table] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with frozen.server.connect(frozen.database, autocommit=True) as connection:
                connection.execute(sql.SQL("SET lock_timeout = {}").format(PATIENCE))
                while not failures:
                    table = waiting.get_nowait()
                    try:
                        with connection.transaction():
                            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(frozen.snapshot))
                            found[table.key] = _count(connection, content_of(table))
                    except psycopg.errors.LockNotAvailable:
                        passed_over.append(table)
        except queue.Empty:
            return
        except (psycopg.Error, PereneError) as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(min(workers, len(frozen.tables)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    found.update({table.key: _count(frozen.connection, content_of(table)) for table in passed_over})
    return dict(sorted(found.items()))


def content_of(table: Table) -> sql.Composed:
    """The query for a table's rows and the sum of their hashes."""
    source = sql.SQL("{} {}").format(sql.SQL("" if table.whole else "ONLY"), sql.Identifier(table.schema, table.name))
    condition = sql.SQL(table.condition)
    if (table.schema, table.name) in catalogue.JOB_TABLES:
        source, condition = sql.SQL(catalogue.JOBS).format(table=source, condition=condition), sql.SQL("")
    return sql.SQL('SELECT count(*), coalesce(sum(hashtextextended((r.*)::text COLLATE "C", 0)::numeric), 0)::text FROM {} r {}').format(
        source, condition
    )


def _count(connection: psycopg.Connection[Any], query: sql.SQL | sql.Composed) -> Count:
    rows, digest = connection.execute(query).fetchall()[0]
    return Count(rows=rows, hash=digest)


def _rows(connection: psycopg.Connection[Any], query: str, values: Sequence[object] | None = None) -> list[Any]:
    return connection.execute(sql.SQL(query), values).fetchall()


def unreadable(database: str, failure: psycopg.Error) -> PereneError:
    """The error for a database that cannot be read to the end."""
    fix = next((text for kind, text in FIXES.items() if isinstance(failure, kind)), "see the server's log")
    return PereneError("the database cannot be read", where=database, why=str(failure).strip(), fix=fix)
