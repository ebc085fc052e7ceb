"""A dumped database back into a PostgreSQL: roles first, the database as it was made, its content in parallel, then its rights.

A database that is being restored says so in its comment (`marks`).
"""

import hashlib
import secrets as random
from collections.abc import Collection, Mapping
from typing import Any

import psycopg
from psycopg import sql

from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.contract.drill import CheckResult, Difference
from perene.contract.recovery_set import DatabaseRecord, PostgresContent, Role, StoreSet
from perene.contract.tier import Check
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare
from perene.restore.job import MARGIN
from perene.restore.marks import ADMINISTRATION, Mark, marks, named, set_comment

# What a restored database takes where a set does not say it: rows as text, and their indexes.
GROWTH = 1.5
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def size_of(kept: StoreSet, databases: Collection[str]) -> int:
    """Bytes of these databases of a store, as they were on its server; about, where a set is too old to say."""
    sizes = kept.content.sizes if isinstance(kept.content, PostgresContent) else {}
    return sum(sizes.get(part.name, round(part.bytes * GROWTH)) for part in kept.parts if part.name in databases)


def room_on(admin: psycopg.Connection[Any], size: int, name: str) -> None:
    """PereneError (exit 3) when a server does not have this much room. A managed service does not say, and grows by itself."""
    try:
        admin.execute("CREATE TEMPORARY TABLE IF NOT EXISTS room (bytes bigint)")
        # Its working directory is the data directory.
        admin.execute("COPY pg_temp.room FROM PROGRAM 'df --output=avail -B1 . | tail -n 1'")
        free, log = admin.execute("SELECT max(bytes), pg_size_bytes(current_setting('max_wal_size')) FROM pg_temp.room").fetchall()[0]
    except psycopg.errors.InsufficientPrivilege:
        return
    needed = round(size * MARGIN) + min(size, int(log))
    if needed > int(free):
        raise PereneError(
            f"{needed / 1e9:.2f} GB are needed on the server, {int(free) / 1e9:.2f} GB are free",
            where=name,
            why="the copy lies beside the live databases for a while, and a full disk would stop the live server too",
            fix="make its volume larger, or restore into another server with --to",
            exit_code=ExitCode.CANNOT_TELL,
        )


def ensure_roles(server: Server, roles: Mapping[str, Role]) -> None:
    """Create the roles that are missing, and give each what it had. Passwords come from the vault, never from a backup."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection, named("the roles"):
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
    with server.connect(ADMINISTRATION, autocommit=True) as connection, named(database):
        before = marks(connection, [database]).get(database)
        if before is not None:
            if before.state not in {"restoring", "complete"}:
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
        clear(connection, database)
        # A database cannot be created with its mark in one step: until it has both mark and name, its name alone says whose it is.
        making = _making(database) + random.token_hex(3)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}").format(sql.Identifier(making), words))
        set_comment(connection, making, str(Mark(set_id, "restoring")))
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(database)))


def clear(connection: psycopg.Connection[Any], database: str) -> None:
    """Drop what runs that died have left of a database before it had its name: it is empty."""
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    for (name,) in connection.execute(query, [_making(database)]).fetchall():
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))


def _making(database: str) -> str:
    return f"perene_making_{hashlib.sha256(database.encode()).hexdigest()[:12]}_"


def finish(server: Server, database: str, record: DatabaseRecord, set_id: str) -> None:
    """Settings and rights of the database itself, then the mark that it is complete."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection, named(database):
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
        set_comment(connection, database, str(Mark(set_id, "complete")))


def compared(server: Server, database: str, original: str, content: PostgresContent) -> tuple[Difference, ...]:
    """What differs between a restored database and the fingerprint of the original."""
    with fingerprint.freeze(server, database) as frozen:
        found = fingerprint.fingerprint(frozen)
        there = fingerprint.records(frozen.connection, [database])[database]
        roles = fingerprint.roles(frozen.connection)
        unjudged = _unjudged(frozen.connection, content.roles, roles)
    expected = content.records[original]
    record = tuple(
        Difference(kind=f"database {part}", where=original, expected=str(getattr(expected, part)), found=str(getattr(there, part)))
        for part in type(expected).model_fields
        if getattr(expected, part) != getattr(there, part)
    )
    return (*compare.databases(original, content.databases[original], found), *record, *compare.roles(content.roles, roles, unjudged))


def not_compared(server: Server, content: PostgresContent) -> tuple[str, ...]:
    """What this server cannot have as the original had it, so that it was not compared."""
    with server.connect(ADMINISTRATION, autocommit=True) as connection:
        unjudged = _unjudged(connection, content.roles, fingerprint.roles(connection))
    return tuple(f"SUPERUSER of role {name}" for name in unjudged)


def _unjudged(connection: psycopg.Connection[Any], expected: Mapping[str, Role], found: Mapping[str, Role]) -> list[str]:
    """Roles that are a superuser on one side only, where that is the server's doing: it makes its own administrator one, or nobody."""
    me, all_powerful = connection.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user").fetchall()[0]
    other = [
        name for name in expected if name in found and ("SUPERUSER" in expected[name].attributes) != ("SUPERUSER" in found[name].attributes)
    ]
    return [name for name in other if name == me] if all_powerful else other


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


def _assignment(setting: str) -> sql.Composed:
    name, value = setting.split("=", 1)
    # A list (search_path) is stored as it was written and must not be quoted as one value.
    listed = name in {"search_path", "DateStyle", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
    words = [sql.Literal(word.strip().strip('"')) for word in value.split(",")] if listed else [sql.Literal(value)]
    return sql.SQL("{} TO {}").format(sql.Identifier(*name.split(".")), sql.SQL(", ").join(words))
