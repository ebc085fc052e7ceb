"""A dumped database back into a PostgreSQL: roles first, the database as it was made, its content in parallel, then its rights.

A database carries its state in its comment, which changes in one transaction with its name: `perene SET restoring`, `complete`, `restored`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from perene.backup import process
from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.contract.drill import CheckResult, Difference
from perene.contract.recovery_set import DatabaseRecord, PostgresContent, Role
from perene.contract.tier import Check
from perene.errors import PereneError
from perene.restore import compare

ADMINISTRATION = "postgres"
# Fast, and still safe: the mark of completeness is written by a synchronous commit, which flushes everything before it.
FASTER = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def mark(set_id: str, state: str) -> str:
    """The comment of a database in a state of a restore."""
    return f"perene {set_id} {state}"


def comment(connection: psycopg.Connection[Any], database: str) -> str | None:
    """The comment of a database; None when the database does not exist."""
    query = "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = %s"
    found = connection.execute(query, [database]).fetchone()
    return None if found is None else str(found[0])


def ensure_roles(server: Server, roles: Mapping[str, Role]) -> None:
    """Create the roles that are missing, and give each what it had. Passwords come from the vault, never from a backup."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection, _named("the roles"):
        present = fingerprint.roles(connection)
        may_all = bool(connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchall()[0][0])
        for name, role in roles.items():
            if name not in present:
                given = [word for word in role.attributes if may_all or word not in {"SUPERUSER", "REPLICATION", "BYPASSRLS"}]
                connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), sql.SQL(" ".join(given))))
        for name, role in roles.items():
            there = present.get(name)
            for group in set(role.member_of) - set(there.member_of if there else ()):
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
            for setting in set(role.settings) - set(there.settings if there else ()):
                connection.execute(sql.SQL("ALTER ROLE {} SET {}").format(sql.Identifier(name), _assignment(setting)))


def create(server: Server, database: str, record: DatabaseRecord, set_id: str) -> None:
    """An empty database as the recorded one was made, marked as not complete. An incomplete one of an earlier run is dropped first."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection, _named(database):
        before = comment(connection, database)
        if before is not None:
            if not before.startswith("perene ") or before.endswith(" restored"):
                raise PereneError(
                    f"the database {database} exists already",
                    where=f"{server.host}:{server.port}",
                    why="a restore never writes over anything",
                    fix="name another place with --to, or remove the database yourself",
                )
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
        options = {
            "OWNER": sql.Identifier(record.owner),
            "ENCODING": sql.Literal(record.encoding),
            "LOCALE_PROVIDER": sql.SQL(_PROVIDERS[record.locale_provider]),
            "LC_COLLATE": sql.Literal(record.collate),
            "LC_CTYPE": sql.Literal(record.ctype),
        }
        if record.locale:
            options["ICU_LOCALE" if record.locale_provider == "i" else "BUILTIN_LOCALE"] = sql.Literal(record.locale)
        words = sql.SQL(" ").join(sql.SQL("{} {}").format(sql.SQL(name), value) for name, value in options.items())
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}").format(sql.Identifier(database), words))
        set_comment(connection, database, mark(set_id, "restoring"))


def fill(server: Server, dump: Path, database: str, *, timescale: str | None, jobs: int | None = None) -> None:
    """The content of a dump into an empty database. timescale: the extension's version when it was dumped."""
    workers = jobs or min(8, os.cpu_count() or 2)
    with server.tools() as env:
        words = ["pg_restore", "--exit-on-error", "--no-password", "--no-tablespaces", f"--dbname={database}", f"--jobs={workers}"]
        environment = env | {"PGOPTIONS": FASTER}
        if timescale is None:
            process.run([*words, str(dump)], env=environment, what=f"restoring {database}")
            return
        _fill_timescale(server, words, env=environment, dump=dump, database=database, version=timescale)


def _fill_timescale(server: Server, words: list[str], *, env: dict[str, str], dump: Path, database: str, version: str) -> None:
    """As TimescaleDB demands: the very version first, its catalogue serially, no job awake before the comparison."""
    what = f"restoring {database} with TimescaleDB {version}"
    with server.connect(database, autocommit=True) as connection, _named(database):
        connection.execute(sql.SQL("CREATE EXTENSION timescaledb VERSION {}").format(sql.Literal(version)))
        connection.execute("SELECT public.timescaledb_pre_restore()")
        listed = process.run(["pg_restore", "--list", str(dump)], what=what).decode().splitlines()
        catalogue = [line for line in listed if " TABLE DATA _timescaledb_catalog " in line or " TABLE DATA _timescaledb_config " in line]
        rest = dump.with_suffix(".rest"), dump.with_suffix(".catalogue")
        rest[0].write_text("\n".join(line for line in listed if line not in catalogue) + "\n")
        rest[1].write_text("\n".join(catalogue) + "\n")
        process.run([*words, "--section=pre-data", str(dump)], env=env, what=what)
        serially = [word for word in words if not word.startswith("--jobs")]
        process.run([*serially, f"--use-list={rest[1]}", str(dump)], env=env, what=what)
        process.run([*words, "--section=data", f"--use-list={rest[0]}", str(dump)], env=env, what=what)
        process.run([*words, "--section=post-data", str(dump)], env=env, what=what)
        # post_restore makes every policy due at once: a retention policy would delete what was just restored.
        connection.execute("UPDATE _timescaledb_config.bgw_job SET scheduled = false WHERE id >= 1000")
        connection.execute("SELECT public.timescaledb_post_restore()")


def wake_timescale(server: Server, database: str) -> None:
    """Jobs on again, after the comparison."""
    with server.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE _timescaledb_config.bgw_job SET scheduled = true WHERE id >= 1000")


def finish(server: Server, database: str, record: DatabaseRecord, set_id: str) -> None:
    """Settings and rights of the database itself, then the mark that it is complete."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection, _named(database):
        name = sql.Identifier(database)
        for entry in record.settings:
            role, setting = entry.split(" ", 1)
            place = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), name) if role else sql.SQL("DATABASE {}").format(name)
            connection.execute(sql.SQL("ALTER {} SET {}").format(place, _assignment(setting)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for right in record.rights:
            grantee, privilege = right.rsplit("=", 1)
            who = sql.SQL("PUBLIC") if grantee == "public" else sql.Identifier(grantee)
            option = sql.SQL(" WITH GRANT OPTION" if privilege.endswith("*") else "")
            connection.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(sql.SQL(privilege.rstrip("*")), name, who, option))
        if record.connection_limit >= 0:
            connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(record.connection_limit)))
        set_comment(connection, database, mark(set_id, "complete"))


def compared(server: Server, database: str, original: str, content: PostgresContent) -> tuple[Difference, ...]:
    """What differs between a restored database and the fingerprint of the original."""
    with fingerprint.freeze(server, database) as frozen:
        found = fingerprint.fingerprint(frozen)
        there = fingerprint.records(frozen.connection, [database])[database]
        roles = fingerprint.roles(frozen.connection)
    expected = content.records[original]
    record = tuple(
        Difference(kind=f"database {part}", where=original, expected=str(getattr(expected, part)), found=str(getattr(there, part)))
        for part in type(expected).model_fields
        if getattr(expected, part) != getattr(there, part)
    )
    return (*compare.databases(original, content.databases[original], found), *record, *compare.roles(content.roles, roles))


def checked(server: Server, database: str, checks: tuple[Check, ...], original: str) -> tuple[CheckResult, ...]:
    """The configured counts (`users`, `schema.table`) that concern this database."""
    results = []
    with server.connect(database, autocommit=True) as connection:
        for check in checks:
            if check.database not in {"", original}:
                continue
            name = check.count.split(".") if "." in check.count else ["public", check.count]
            try:
                found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*name))).fetchall()[0][0]
            except psycopg.Error:
                found = -1
            results.append(CheckResult(count=check.count, at_least=check.at_least, found=int(str(found))))
    return tuple(results)


def set_comment(connection: psycopg.Connection[Any], database: str, text: str) -> None:
    """Write a database's state."""
    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(text)))


def _assignment(setting: str) -> sql.Composed:
    name, value = setting.split("=", 1)
    # A list (search_path) is stored as it was written and must not be quoted as one value.
    listed = name in {"search_path", "DateStyle", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
    words = [sql.Literal(word.strip().strip('"')) for word in value.split(",")] if listed else [sql.Literal(value)]
    return sql.SQL("{} TO {}").format(sql.Identifier(*name.split(".")), sql.SQL(", ").join(words))


@contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as failure:
        raise PereneError("the restore failed", where=where, why=str(failure).strip()) from None
