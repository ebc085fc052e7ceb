"""The migration's connection: the right role, time limits that are really in effect, one runner at a time, nobody blocked for long."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from perene.contract.values import Duration
from perene.errors import PereneError
from perene.exit_codes import ExitCode

Session = Connection[TupleRow]
# Reserved: the advisory lock of `perene migrate` in every database. No application may use it.
LOCK_ID = int.from_bytes(b"perene\x00\x01", "big")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a migration may cost others.

    lock: waiting for one lock; statement: one statement; blocked: the longest that anybody may wait because of the migration
    before it is rolled back and tried again; concurrent: waiting for a lock that makes nobody else wait; attempts: tries after a
    lock time-out, with growing pauses; runner: waiting for another runner.
    """

    lock: Duration = field(default=Duration(2, "s"))
    statement: Duration = field(default=Duration(10, "m"))
    blocked: Duration = field(default=Duration(5, "s"))
    concurrent: Duration = field(default=Duration(10, "m"))
    attempts: int = 10
    runner: Duration = field(default=Duration(10, "m"))


@contextmanager
def connect(database: str, *, limits: Limits, role: str | None) -> Iterator[Session]:
    """A connection to a libpq connection string, with its limits verified by SHOW.

    role: whom the login must be (None: reading only, by anybody). Raises PereneError: exit 2 when the string holds a password
    (it would stand in the process list), 3 when the server cannot be reached, the login is another, or a limit is not in effect.
    """
    if "password" in psycopg.conninfo.conninfo_to_dict(database):
        raise PereneError(
            "the connection string holds a password",
            why="everybody on the machine can read a command line",
            fix="use PGPASSFILE, PGPASSWORD or a service file",
            exit_code=ExitCode.USAGE,
        )
    settings = {
        "lock_timeout": f"{limits.lock.milliseconds}ms",
        "statement_timeout": f"{limits.statement.milliseconds}ms",
        # A runner that stops in the middle must not keep its locks; one that is gone must be noticed during a long statement.
        "idle_in_transaction_session_timeout": f"{limits.blocked.milliseconds}ms",
        "client_connection_check_interval": "1s",
        "search_path": "public",
        "default_transaction_read_only": "on" if role is None else "off",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    try:
        connection = _open(database, "perene-migrate", options)
    except psycopg.OperationalError as error:
        raise PereneError(
            f"the database cannot be reached: {error}", fix="see the address and that the server runs", exit_code=ExitCode.CANNOT_TELL
        ) from None
    with connection:
        verify(connection, lock=limits.lock, statement=limits.statement)
        login = _value(connection, "SELECT session_user::text")
        if role is not None and login != role:
            raise PereneError(
                f"logged in as {login}, not as {role}",
                why="another role's rights and settings would apply (SET ROLE does not apply settings), and what it makes would be its own",
                fix=f"log in as {role}",
                exit_code=ExitCode.CANNOT_TELL,
            )
        if role is not None:
            connection.execute(_AS_OWNER.encode())
        try:
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise PereneError(f"{login} may not: {error}", fix="log in as the migrator", exit_code=ExitCode.CANNOT_TELL) from None
        except psycopg.Error as error:
            raise PereneError(
                f"the database: {str(error).strip() or type(error).__name__}", fix="see the server; then run the same command again"
            ) from error


def _open(database: str, name: str, options: str = "") -> Session:
    # A job is shown its password as a file: in its environment it would be in every description of the pod.
    file = os.environ.get("PERENE_PASSWORD_FILE")
    password = Path(file).read_text(encoding="utf-8").strip() if file else None
    return psycopg.connect(database, autocommit=True, options=options, application_name=name, connect_timeout=10, password=password)


# What the migrator makes belongs to owner. Its login says so itself where that can be set: on Cloud SQL nobody may give it the setting.
_AS_OWNER = """
SELECT set_config('role', 'owner', false) FROM pg_roles
WHERE rolname = 'owner' AND current_user <> 'owner' AND pg_has_role(session_user, oid, 'MEMBER')
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
"""


def _value(connection: Session, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return "" if row is None else str(row[0])


def in_effect(connection: Session) -> tuple[str, str]:
    """(lock_timeout, statement_timeout) as SHOW says them."""
    return _value(connection, "SHOW lock_timeout"), _value(connection, "SHOW statement_timeout")


def verify(connection: Session, *, lock: Duration, statement: Duration) -> None:
    """Raise PereneError (exit 3) unless both limits are in effect in the server, in milliseconds as pg_settings counts them."""
    rows = connection.execute(
        "SELECT name, setting::bigint FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout')"
    ).fetchall()
    found: dict[str, int] = dict(rows)
    for name, wanted in (("lock_timeout", lock.milliseconds), ("statement_timeout", statement.milliseconds)):
        if found[name] != wanted:
            raise PereneError(
                f"{name} is {found[name]} ms, not {wanted} ms",
                why="others could wait without an end",
                fix="do not change it in a script, a pooler or a function; the header may say statement-timeout",
                exit_code=ExitCode.CANNOT_TELL,
            )


@contextmanager
def sole_runner(connection: Session, wait: Duration) -> Iterator[None]:
    """Hold the advisory lock. Raises PereneError (exit 3) when another runner holds it longer than `wait`.

    Asked for again and again rather than waited for: a session that waits inside the server holds a snapshot, and CREATE INDEX
    CONCURRENTLY of the runner that has the lock would wait for it for ever.
    """
    end = time.monotonic() + wait.seconds
    while not _try_lock(connection):
        if time.monotonic() > end:
            raise PereneError(
                f"another runner held the lock for {wait}",
                fix="let it finish; pg_stat_activity shows it as perene-migrate",
                exit_code=ExitCode.CANNOT_TELL,
            )
        time.sleep(0.2)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK_ID,))


def _try_lock(connection: Session) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_ID,)).fetchone()
    return bool(row and row[0])


_BLOCKED = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8
FROM pg_locks WHERE NOT granted AND pid <> %(pid)s AND %(pid)s = ANY (pg_blocking_pids(pid))
"""


class Watch:
    """Watches, on a connection of its own, how long others wait for the migration, and cancels it past the limit.

    lock_timeout alone does not bound that: whoever queues behind a migration waits for its lock, and then for its whole work.
    longest: seconds that somebody was seen waiting; fired: whether the migration was cancelled.
    """

    def __init__(self, database: str, connection: Session, limit: Duration) -> None:
        self._pid, self._limit = connection.info.backend_pid, limit.seconds
        self._connection = _open(database, "perene-migrate-watch")
        # A role that the login sets would not be allowed to cancel the login's own backend.
        self._connection.execute("SET ROLE NONE")
        self._error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest = 0.0
        self.fired = False

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def reset(self) -> None:
        """Before another attempt."""
        self.longest, self.fired = 0.0, False

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.05):
                row = self._connection.execute(_BLOCKED, {"pid": self._pid}).fetchone()
                waited = float(row[0]) if row else 0.0
                self.longest = max(self.longest, waited)
                if waited > self._limit:
                    self.fired = True
                    self._connection.execute("SELECT pg_cancel_backend(%s)", (self._pid,))
        except psycopg.Error as error:
            self._error = str(error)

    def confirm(self) -> None:
        """Before a commit: PereneError (exit 1) when nobody watched, for then the limit was not kept by anybody."""
        if self._error:
            raise PereneError(f"the watch over those who wait was lost: {self._error}", why="rolled back", fix="run the same command again")
