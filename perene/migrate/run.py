"""Running scripts: each one wholly or not at all, or, where PostgreSQL has no transaction for it, so that the next run finishes it."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from perene.contract.values import Duration
from perene.errors import PereneError
from perene.migrate import ledger, session, unfinished
from perene.migrate.keep import keep
from perene.migrate.ledger import Actor
from perene.migrate.scripts import Migration, Script
from perene.migrate.session import Limits, Watch
from perene.migrate.sql import Statement

Action = Literal["apply", "revert"]
T = TypeVar("T")
_FIXES: dict[type[psycopg.Error], str] = {
    psycopg.errors.LockNotAvailable: "see who holds the lock (pg_blocking_pids) and run the same command again when it is free",
    psycopg.errors.QueryCanceled: "split the script, or give it `-- statement-timeout:` or `-- blocked-limit:` for a maintenance window",
    psycopg.errors.DiskFull: "make room on the database's volume and run the same command again",
    psycopg.errors.InsufficientPrivilege: "let the owner of the object be the role `owner`, and log in as the migrator",
}
_AGAIN = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_LOCKS = """
SELECT DISTINCT relation::regclass::text || ' ' || mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE pid = pg_backend_pid() AND granted AND c.relkind IN ('r', 'p', 'm') AND mode <> 'AccessShareLock'
  AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|perene$)' ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """One script that ran. milliseconds: with the tries before; blocked: the longest that anybody waited in the last try, seconds.

    locks: `table mode` at its end; kept: copies of what a revert took away; tries: 1 when nothing was in the way.
    """

    migration: Migration
    milliseconds: int
    blocked: float
    tries: int
    locks: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs scripts on one connection. database: the same again, for the watch; tell: one line of progress for a person."""

    database: str
    connection: Connection[TupleRow]
    limits: Limits
    actor: Actor
    tell: Callable[[str], None]

    def run(self, migrations: Iterable[Migration], action: Action) -> list[Done]:
        """Run each script in turn; the caller holds the advisory lock. PereneError (exit 1) at the first that fails."""
        return [self._one(migration, action) for migration in migrations]

    def _one(self, migration: Migration, action: Action) -> Done:
        script = migration.up if action == "apply" else migration.down
        started = datetime.now(UTC)
        self.tell(f"{action} {migration.label}: {migration.description}")
        limit = script.limit("blocked-limit") or self.limits.blocked
        self._set("statement_timeout", script.limit("statement-timeout") or self.limits.statement)
        try:
            with Watch(self.database, self.connection, limit) as watch:
                if script.transactional:
                    return self._whole(migration, action, script, started, watch)
                return self._stepwise(migration, action, script, started, watch)
        except psycopg.Error as error:
            raise self._failed(migration, action, script, started, error) from error
        finally:
            if not self.connection.closed:
                self._set("statement_timeout", self.limits.statement)

    def _whole(self, migration: Migration, action: Action, script: Script, started: datetime, watch: Watch) -> Done:
        def attempt() -> tuple[int, tuple[str, ...], tuple[str, ...]]:
            with self.connection.transaction():
                kept = keep(self.connection, migration) if action == "revert" else []
                for statement in script.statements:
                    self._execute(statement)
                watch.confirm()
                session.verify(self.connection, lock=self.limits.lock, statement=script.limit("statement-timeout") or self.limits.statement)
                locks = tuple(row[0] for row in self.connection.execute(_LOCKS.encode()))
                milliseconds = ledger.record(self.connection, migration, action, actor=self.actor, started=started, detail="; ".join(kept))
            return milliseconds, locks, tuple(kept)

        (milliseconds, locks, kept), tries = self._again(attempt, watch, migration.label)
        return Done(migration=migration, milliseconds=milliseconds, blocked=watch.longest, tries=tries, locks=locks, kept=kept)

    def _stepwise(self, migration: Migration, action: Action, script: Script, started: datetime, watch: Watch) -> Done:
        begun = ledger.progress(self.connection, migration.version)
        tries = 1
        for statement in script.statements:
            _, _, finished = begun.get(statement.number, ("", "", None))
            if finished:
                continue
            if not statement.concurrent:
                _, more = self._again(lambda s=statement: self._step(migration, action, s), watch, migration.label)  # type: ignore[misc]
            else:
                if finished is None:
                    unfinished.refuse_foreign(self.connection, statement)
                    ledger.mark(self.connection, migration, action, statement.number, finished=False)
                _, more = self._again(lambda s=statement: self._concurrent(s), watch, migration.label)  # type: ignore[misc]
                ledger.mark(self.connection, migration, action, statement.number, finished=True)
            tries = max(tries, more)
        with self.connection.transaction():
            milliseconds = ledger.record(
                self.connection,
                migration,
                action,
                actor=self.actor,
                started=started,
                detail="outside a transaction, statement by statement",
            )
        return Done(migration=migration, milliseconds=milliseconds, blocked=watch.longest, tries=tries)

    def _step(self, migration: Migration, action: Action, statement: Statement) -> None:
        with self.connection.transaction():
            self._execute(statement)
            ledger.mark(self.connection, migration, action, statement.number, finished=True)

    def _concurrent(self, statement: Statement) -> None:
        # It waits in a lock queue that makes no reader and no writer wait, so it may wait long.
        self._set("lock_timeout", self.limits.concurrent)
        try:
            if not unfinished.finish(self.connection, statement):
                self._execute(statement)
        finally:
            if not self.connection.closed:
                self._set("lock_timeout", self.limits.lock)

    def _again(self, attempt: Callable[[], T], watch: Watch, label: str) -> tuple[T, int]:
        for tries in range(1, self.limits.attempts + 1):
            watch.reset()
            try:
                return attempt(), tries
            except (*_AGAIN, psycopg.errors.QueryCanceled) as error:
                if isinstance(error, psycopg.errors.QueryCanceled) and not watch.fired:
                    raise
                if tries == self.limits.attempts:
                    raise
                pause = min(0.2 * 2**tries, 10.0) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads tries, guards nothing
                why = "others waited too long for it" if watch.fired else "a lock was not to be had in time"
                self.tell(f"{label}: {why}; rolled back, again in {pause:.1f} s ({tries} of {self.limits.attempts})")
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _failed(self, migration: Migration, action: Action, script: Script, started: datetime, error: psycopg.Error) -> PereneError:
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        notes = "; ".join(getattr(error, "__notes__", ()))
        try:
            ledger.event(self.connection, migration, action, "failed", actor=self.actor, started=started, detail=f"{detail} ({notes})")
        except psycopg.Error:
            detail += " (the audit could not be written either)"
        left = "nothing of it is left" if script.transactional else "finished statements stay; running it again cleans up and goes on"
        return PereneError(
            f"{action} of {migration.label} failed: {detail}",
            where=f"{script.path} {notes}".strip(),
            why=left,
            fix=_FIXES.get(type(error), "correct the cause and run the same command again"),
        )

    def _execute(self, statement: Statement) -> None:
        try:
            self.connection.execute(statement.text.encode())
        except psycopg.Error as error:
            error.add_note(f"statement {statement.number}: {statement.text[:200]}")
            raise

    def _set(self, name: str, value: Duration) -> None:
        arguments = (name, f"{value.milliseconds}ms")
        try:
            self.connection.execute("SELECT set_config(%s, %s, false)", arguments)
        except psycopg.errors.QueryCanceled:  # the watch's cancel can arrive just after the work it was meant for
            self.connection.execute("SELECT set_config(%s, %s, false)", arguments)
