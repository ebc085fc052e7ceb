"""The SQL that brings roles, databases and rights to what is declared, for a server of our own and for Cloud SQL. Pure text for psql."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Role:
    """A declared user: its role in the server, its right (read-write, read-only, ddl, dump, monitor), and where psql reads its password.

    password_file None: the identity logs in without a password, and somebody else has made the role (Cloud SQL and IAM).
    """

    name: str
    right: str
    password_file: str | None = None


# right: statements after the role is there. {role} is the quoted name.
GRANTS: dict[str, tuple[str, ...]] = {
    "read-write": (),
    "read-only": (),
    "ddl": ("GRANT owner TO {role};",),
    "dump": ("GRANT pg_read_all_data TO {role};",),
    "monitor": ("GRANT pg_monitor TO {role};",),
}
# right: a setting of every session. The migrator acts as owner from its first statement on, so that whatever it makes belongs to owner.
SETTINGS = {"read-only": "default_transaction_read_only = on", "ddl": "role = 'owner'"}
# From PostgreSQL 16 on, only who may administer a login may give it settings, and the service's own administrator may not: rights hold
# all the same, and `perene migrate` becomes owner by itself.
SET_OR_SAY_SO = """\
DO $$
BEGIN
  EXECUTE format('ALTER ROLE %I SET {setting}', {literal});
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'perene: the sessions of % keep their own settings ({setting} is not among them); its rights are as declared', {literal};
END $$;"""
# On Cloud SQL nobody may hand out BYPASSRLS: then a dump of a table with row-level security would fail, and that is said now.
BYPASS_OR_SAY_SO = """\
DO $$
BEGIN
  EXECUTE format('ALTER ROLE %I BYPASSRLS', {literal});
EXCEPTION WHEN insufficient_privilege THEN
  IF EXISTS (SELECT FROM pg_class WHERE relrowsecurity) THEN
    RAISE WARNING 'perene: % cannot dump tables with row-level security in database %: %', {literal}, current_database(),
      (SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relrowsecurity);
  END IF;
END $$;"""


def roles_sql(roles: Sequence[Role], databases: Mapping[str, Iterable[str]], extensions: Iterable[str], *, managed: bool) -> str:
    """psql input for the declared roles and databases (name -> schemas).

    managed: the server belongs to a service that has made the databases and the logins. Passwords are read from files by psql itself:
    they are in no argument and in no log.
    """
    lines = ["SELECT 'CREATE ROLE owner NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'owner') \\gexec"]
    if managed:
        lines += ["GRANT owner TO CURRENT_USER;"]
    else:
        lines.insert(0, "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';")
    for role in roles:
        lines += _login(role, managed=managed)
    if not managed:
        listed = ", ".join(_literal(name) for name in ("admin", "owner", *(role.name for role in roles)))
        lines += [
            "-- A user that is no longer declared keeps what it owns and may not log in any more.",
            "SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM pg_roles",
            f"  WHERE shobj_description(oid, 'pg_authid') = 'perene' AND rolcanlogin AND rolname NOT IN ({listed}) \\gexec",
        ]
    for database, schemas in databases.items():
        lines += _database(database, tuple(schemas), roles, tuple(extensions), managed=managed)
    return "\n".join(lines) + "\n"


def _login(role: Role, *, managed: bool) -> list[str]:
    name, literal = _identifier(role.name), _literal(role.name)
    lines: list[str] = []
    if role.password_file:
        lines += [
            f"\\set password `cat {role.password_file}`",
            f"SELECT 'CREATE ROLE {name}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal}) \\gexec",
            f"ALTER ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';",
            "\\unset password",
            f"COMMENT ON ROLE {name} IS 'perene';",
        ]
        if role.right == "dump":
            lines += [f"ALTER ROLE {name} BYPASSRLS;"]
    elif not managed:
        raise ValueError(f"{role.name} has no password on a server that knows no other login")
    lines += [grant.format(role=name) for grant in GRANTS[role.right]]
    if setting := SETTINGS.get(role.right):
        quoted = setting.replace("'", "''")
        lines += [SET_OR_SAY_SO.format(setting=quoted, literal=literal) if managed else f"ALTER ROLE {name} SET {setting};"]
    return lines


def _database(database: str, schemas: tuple[str, ...], roles: Sequence[Role], extensions: tuple[str, ...], *, managed: bool) -> list[str]:
    make = f"SELECT 'CREATE DATABASE {database}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec"
    lines = [
        # admin owns the database: the role that changes tables must not be able to drop it.
        *([] if managed else [make]),
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
        f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO owner;",
        *(f"GRANT CONNECT ON DATABASE {database} TO {_identifier(role.name)};" for role in roles if role.right != "monitor"),
        f"\\connect {database}",
        *(f"CREATE EXTENSION IF NOT EXISTS {extension};" for extension in extensions),
    ]
    readers = ", ".join(_identifier(role.name) for role in roles if role.right in {"read-write", "read-only"})
    writers = ", ".join(_identifier(role.name) for role in roles if role.right == "read-write")
    for schema in schemas:
        lines += [
            f"CREATE SCHEMA IF NOT EXISTS {schema};",
            f"ALTER SCHEMA {schema} OWNER TO owner;",
            f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;",
        ]
        for grantees, privileges, kind in (
            (readers, "SELECT", "TABLES"),
            (readers, "SELECT", "SEQUENCES"),
            (writers, "INSERT, UPDATE, DELETE", "TABLES"),
            (writers, "USAGE, UPDATE", "SEQUENCES"),
        ):
            if grantees:
                lines += [
                    f"GRANT USAGE ON SCHEMA {schema} TO {grantees};",
                    f"GRANT {privileges} ON ALL {kind} IN SCHEMA {schema} TO {grantees};",
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA {schema} GRANT {privileges} ON {kind} TO {grantees};",
                ]
    lines += [BYPASS_OR_SAY_SO.format(literal=_literal(role.name)) for role in roles if managed and role.right == "dump"]
    return lines


def _identifier(name: str) -> str:
    """Quoted where PostgreSQL needs it; what comes here is checked by the configuration and holds no quote."""
    return name if name.isalnum() else f'"{name}"'


def _literal(name: str) -> str:
    return f"'{name}'"
