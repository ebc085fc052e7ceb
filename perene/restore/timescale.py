"""A database with TimescaleDB back: its very version first, its catalogue serially, its jobs asleep until somebody wakes them.

Measured (docs/cursed-knowledge.md): a plain parallel pg_restore loses every row and says nothing, and post_restore makes every job due at
once, so that a retention policy deletes within a second what was just restored. Which jobs were awake is a setting of the database
(`catalogue.ASLEEP`), because a database may be renamed, and a run may die, before they are woken.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from perene.backup import process
from perene.backup.postgres.catalogue import ASLEEP, JOB_TABLES
from perene.backup.postgres.server import Server
from perene.contract.recovery_set import Content, PostgresContent
from perene.errors import PereneError
from perene.restore import entries

EXTENSION = "timescaledb"


def settings(content: Content) -> dict[str, str]:
    """What a server of its own must be started with to take this store; without workers no job runs there at all."""
    if isinstance(content, PostgresContent) and any(EXTENSION in one.extensions for one in content.databases.values()):
        return {"shared_preload_libraries": f"'{EXTENSION}'", "timescaledb.max_background_workers": "0"}
    return {}


def fill(server: Server, dump: Path, database: str, version: str, *, words: Sequence[str], workers: int, env: Mapping[str, str]) -> None:
    """The content of a dump into an empty database. words: pg_restore with its options, without the number of jobs."""
    what = f"restoring {database} with TimescaleDB {version}"
    listed = entries.listed(dump, what=what)
    name = _schema(dump, listed, what)
    first = [line for line in listed if f" SCHEMA - {name} " in line and name != "public"]
    catalogue = [line for line in listed if re.search(r" TABLE DATA _timescaledb_(catalog|config) ", line)]
    early = {*first, *catalogue}
    lists = {"first": first, "catalogue": catalogue, "rest": [line for line in listed if line not in early]}

    def restored(kind: str, *more: str) -> None:
        process.run([*words, *more, entries.only(dump, kind, lists[kind]), str(dump)], env=env, what=what)

    parallel = f"--jobs={workers}"
    with server.connect(database, autocommit=True) as connection:
        schema = sql.Identifier(name)
        restored("first")
        connection.execute(sql.SQL("CREATE EXTENSION timescaledb SCHEMA {} VERSION {}").format(schema, sql.Literal(version)))
        connection.execute(sql.SQL("SELECT {}.timescaledb_pre_restore()").format(schema))
        restored("rest", parallel, "--section=pre-data")
        # Its tables refer to each other: only the order of the dump keeps their foreign keys.
        restored("catalogue")
        restored("rest", parallel, "--section=data")
        restored("rest", parallel, "--section=post-data")
        jobs = _jobs(connection)
        awake = connection.execute(
            sql.SQL("SELECT string_agg(id::text, ',') FROM {} WHERE scheduled AND id >= 1000").format(jobs)
        ).fetchall()
        if awake[0][0]:
            place = sql.SQL("ALTER DATABASE {} SET {} TO {}")
            connection.execute(place.format(sql.Identifier(database), sql.Identifier(*ASLEEP.split(".")), sql.Literal(awake[0][0])))
            connection.execute(sql.SQL("UPDATE {} SET scheduled = false WHERE id >= 1000").format(jobs))
        connection.execute(sql.SQL("SELECT {}.timescaledb_post_restore()").format(schema))


def asleep(server: Server, database: str) -> tuple[str, ...]:
    """The jobs of a restored database that sleep since then, by number."""
    with server.connect(database, autocommit=True) as connection:
        found = connection.execute("SELECT current_setting(%s, true)", [ASLEEP]).fetchall()[0][0]
    return tuple(str(found).split(",")) if found else ()


def wake(server: Server, database: str) -> None:
    """The jobs that a restore put to sleep, and no others, are on again."""
    if not (sleeping := asleep(server, database)):
        return
    with server.connect(database) as connection:
        awake = sql.SQL("UPDATE {} SET scheduled = true WHERE id = ANY (%s)").format(_jobs(connection))
        connection.execute(awake, [[int(job) for job in sleeping]])
        reset = sql.SQL("ALTER DATABASE {} RESET {}")
        connection.execute(reset.format(sql.Identifier(database), sql.Identifier(*ASLEEP.split("."))))
        # The scheduler reads its table when it starts.
        connection.commit()
        connection.execute("SELECT _timescaledb_functions.restart_background_workers()")


def _jobs(connection: psycopg.Connection[Any]) -> sql.Identifier:
    """The table of jobs, where this version has it."""
    query = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
    found = {(str(schema), str(name)) for schema, name in connection.execute(query).fetchall()}
    return sql.Identifier(*next(iter(found & JOB_TABLES)))


def _schema(dump: Path, listed: Sequence[str], what: str) -> str:
    """Where the extension was: a dump says so in its own statement."""
    entry = entries.only(dump, "extension", [line for line in listed if line.rstrip().endswith(f" EXTENSION - {EXTENSION}")])
    statement = process.run(["pg_restore", "--file=-", entry, str(dump)], what=what).decode()
    found = re.search(rf"CREATE EXTENSION IF NOT EXISTS {EXTENSION} WITH SCHEMA (\"?)([^;\"]+)\1;", statement)
    if found is None:
        raise PereneError(f"{what} failed", where=str(dump), why="the dump does not say in which schema the extension was")
    return found[2]
