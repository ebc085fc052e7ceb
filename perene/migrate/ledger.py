"""The ledger in the database itself: what is applied, the audit that only grows, the progress of scripts outside a transaction.

Its row is written in the transaction of the script, so that "applied" and "recorded" are one thing.
"""

import getpass
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import Connection, sql
from psycopg.rows import TupleRow, class_row

from perene.contract.migration import AppliedMigration, AuditEvent, LedgerExport
from perene.migrate.scripts import Migration

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS perene;
CREATE TABLE IF NOT EXISTS perene.migrations (
    version bigint PRIMARY KEY, name text NOT NULL, description text NOT NULL, up_checksum text NOT NULL, down_checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), "by" text NOT NULL, commit text NOT NULL, milliseconds bigint NOT NULL);
CREATE TABLE IF NOT EXISTS perene.migration_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version bigint NOT NULL, name text NOT NULL,
    action text NOT NULL CHECK (action IN ('apply', 'revert')), result text NOT NULL CHECK (result IN ('done', 'failed')),
    started_at timestamptz NOT NULL, milliseconds bigint NOT NULL, login text NOT NULL DEFAULT session_user, "by" text NOT NULL,
    commit text NOT NULL, lock_timeout text NOT NULL DEFAULT current_setting('lock_timeout'),
    statement_timeout text NOT NULL DEFAULT current_setting('statement_timeout'), evidence text NOT NULL, detail text NOT NULL);
CREATE TABLE IF NOT EXISTS perene.migration_progress (
    version bigint NOT NULL, action text NOT NULL, checksum text NOT NULL, statement int NOT NULL,
    finished boolean NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (version, statement));
CREATE TABLE IF NOT EXISTS perene.application (
    instance text PRIMARY KEY, version text NOT NULL, seen_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE OR REPLACE FUNCTION perene.only_grows() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'the audit of migrations only grows'; END$$;
CREATE OR REPLACE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON perene.migration_audit
    EXECUTE FUNCTION perene.only_grows();
"""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts: a person or a job, from which commit, with which evidence (a rehearsal, a restore point, an approval)."""

    by: str
    commit: str
    evidence: str = ""

    @classmethod
    def here(cls, directory: Path) -> "Actor":
        """From the environment (PERENE_ACTOR, PERENE_COMMIT, as a job is given them), else the user and the commit of `directory`."""
        commit = os.environ.get("PERENE_COMMIT") or _commit(directory)
        return cls(by=os.environ.get("PERENE_ACTOR") or getpass.getuser(), commit=commit)


def _commit(directory: Path) -> str:
    try:
        result = subprocess.run(
            ["git", "-C", str(directory), "describe", "--always", "--abbrev=40", "--dirty"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()


def exists(connection: Connection[TupleRow]) -> bool:
    """Whether this database has a ledger."""
    row = connection.execute("SELECT to_regclass('perene.application') IS NOT NULL").fetchone()
    return bool(row and row[0])


def ensure(connection: Connection[TupleRow], applications: tuple[str, ...]) -> None:
    """Make the ledger once. applications: roles that may say which version of the application they are."""
    if exists(connection):
        return
    with connection.transaction():
        connection.execute(_SCHEMA.encode())
        for (role,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(applications),)).fetchall():
            grantee = sql.Identifier(role)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA perene TO {}").format(grantee))
            connection.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON perene.application TO {}").format(grantee))


_UTC = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_APPLIED = f"""SELECT version, name, description, up_checksum, down_checksum,
{_UTC.format("applied_at")} AS applied_at, "by", commit, milliseconds
FROM perene.migrations ORDER BY version"""
_AUDIT = f"""SELECT id, version, name, action, result,
{_UTC.format("started_at")} AS started_at, milliseconds, login, "by", commit, lock_timeout,
statement_timeout, evidence, detail FROM perene.migration_audit ORDER BY id"""


def applied(connection: Connection[TupleRow]) -> tuple[AppliedMigration, ...]:
    """The ledger's rows in order of version; none when there is no ledger yet."""
    if not exists(connection):
        return ()
    with connection.cursor(row_factory=class_row(AppliedMigration)) as cursor:
        return tuple(cursor.execute(_APPLIED.encode()).fetchall())


def audit(connection: Connection[TupleRow]) -> tuple[AuditEvent, ...]:
    """Every event, oldest first."""
    if not exists(connection):
        return ()
    with connection.cursor(row_factory=class_row(AuditEvent)) as cursor:
        return tuple(cursor.execute(_AUDIT.encode()).fetchall())


def export(connection: Connection[TupleRow], environment: str) -> LedgerExport:
    """The whole ledger as a document, read in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return document(connection, environment)


def document(connection: Connection[TupleRow], environment: str) -> LedgerExport:
    """The whole ledger as a document, in the caller's snapshot: so it goes with the recovery set."""
    return LedgerExport(
        environment=environment,
        database=connection.info.dbname,
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        applied=applied(connection),
        audit=audit(connection),
    )


def record(connection: Connection[TupleRow], migration: Migration, action: str, *, actor: Actor, started: datetime, detail: str) -> int:
    """Write the ledger's row and the audit's, inside the caller's transaction. Returns the milliseconds since `started`."""
    milliseconds = round((datetime.now(UTC) - started).total_seconds() * 1000)
    if action == "apply":
        connection.execute(
            'INSERT INTO perene.migrations (version, name, description, up_checksum, down_checksum, "by", commit, milliseconds)'
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                migration.version,
                migration.name,
                migration.description,
                migration.up.checksum,
                migration.down.checksum,
                actor.by,
                actor.commit,
                milliseconds,
            ),
        )
    else:
        connection.execute("DELETE FROM perene.migrations WHERE version = %s", (migration.version,))
    connection.execute("DELETE FROM perene.migration_progress WHERE version = %s", (migration.version,))
    event(connection, migration, action, "done", actor=actor, started=started, detail=detail)
    return milliseconds


def event(
    connection: Connection[TupleRow], migration: Migration, action: str, result: str, *, actor: Actor, started: datetime, detail: str
) -> None:
    """Write one row of the audit; the database adds the login and the limits in effect."""
    milliseconds = round((datetime.now(UTC) - started).total_seconds() * 1000)
    connection.execute(
        'INSERT INTO perene.migration_audit (version, name, action, result, started_at, milliseconds, "by", commit, evidence, detail)'
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (migration.version, migration.name, action, result, started, milliseconds, actor.by, actor.commit, actor.evidence, detail),
    )


def progress(connection: Connection[TupleRow], version: int) -> dict[int, tuple[str, str, bool]]:
    """Statement number -> (action, checksum, finished) of a script that was begun outside a transaction."""
    rows = connection.execute("SELECT statement, action, checksum, finished FROM perene.migration_progress WHERE version = %s", (version,))
    return {number: (action, checksum, finished) for number, action, checksum, finished in rows}


def mark(connection: Connection[TupleRow], migration: Migration, action: str, statement: int, *, finished: bool) -> None:
    """Remember that a statement has begun or is finished."""
    script = migration.up if action == "apply" else migration.down
    connection.execute(
        "INSERT INTO perene.migration_progress (version, action, checksum, statement, finished) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (version, statement) DO UPDATE SET finished = excluded.finished, at = clock_timestamp()",
        (migration.version, action, script.checksum, statement, finished),
    )
