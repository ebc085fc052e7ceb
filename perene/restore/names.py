"""Exchanging the names of databases: the restored copies become the live ones and the old ones are set aside, in one transaction.

Rights, owner, settings and connection limit belong to the database itself: they move with it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import psycopg
from psycopg import sql

from perene.backup.postgres.server import Server
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore.marks import ADMINISTRATION, named, set_comment

LIMIT = 63
SESSIONS = """
SELECT format('%%s in %%s, %%s from %%s (%%s)', usename, datname, coalesce(nullif(application_name, ''), 'unnamed'),
              coalesce(host(client_addr), 'this host'), count(*))
FROM pg_stat_activity WHERE datname = ANY(%s) AND backend_type = 'client backend' AND application_name !~ '^perene'
  AND NOT usename = ANY(%s) GROUP BY usename, datname, application_name, client_addr ORDER BY 1"""
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"


def new(database: str) -> str:
    """The name of the copy before the exchange."""
    return _beside(database, "__new")


def old(database: str) -> str:
    """The name of what is set aside."""
    return _beside(database, "__old")


def _beside(database: str, ending: str) -> str:
    if len((database + ending).encode()) > LIMIT:
        raise PereneError(f"{database}{ending} is too long a name", why="a restore in place needs it", exit_code=ExitCode.CANNOT_TELL)
    return database + ending


def sessions(server: Server, databases: Sequence[str], ours: Sequence[str]) -> list[str]:
    """Who else is connected, a line each. ours: roles whose sessions may be ended (dumps)."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection:
        return [str(row[0]) for row in connection.execute(SESSIONS, [list(databases), list(ours)])]


def prepared(connection: psycopg.Connection[Any], databases: Sequence[str]) -> list[str]:
    """Prepared transactions, which keep a database's name from being changed."""
    query = "SELECT gid FROM pg_prepared_xacts WHERE database = ANY(%s) ORDER BY 1"
    return [str(row[0]) for row in connection.execute(query, [list(databases)])]


def rename(server: Server, moves: Sequence[tuple[str, str, str]]) -> None:
    """All or nothing. moves: name, new name, new comment, in this order."""
    names = [move[0] for move in moves]
    if not names:
        return
    with (
        server.connect(ADMINISTRATION) as work,
        server.connect(ADMINISTRATION, autocommit=True) as ending,
        ThreadPoolExecutor(1) as other,
        named(", ".join(names)),
    ):

        def exchange() -> None:
            for name, to, comment in moves:
                # Holds off new sessions, and waits up to 5 s for those there are.
                work.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))
                set_comment(work, to, comment)

        running = other.submit(exchange)
        while not running.done():
            # Ended while the name is locked, so that none comes back before the exchange. Nothing is closed beforehand: a run that is
            # killed here leaves the old data open.
            ending.execute(END, [names])
            wait([running], timeout=0.05)
        running.result()
        work.commit()
