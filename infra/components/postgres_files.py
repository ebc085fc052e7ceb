"""What a PostgreSQL in the cluster reads at start: settings, client authentication, and the SQL of its roles. Pure text."""

from collections.abc import Iterable, Mapping
from pathlib import Path

FILES = Path(__file__).parent / "files"
MIB = 2**20


def script(name: str) -> str:
    """A shell script of infra/components/files."""
    return (FILES / name).read_text(encoding="utf-8")


def settings(*, memory: int, volume: int, max_connections: int, slow_query_ms: int, preload: Iterable[str]) -> str:
    """postgresql.conf. memory and volume in bytes; fsync, full_page_writes and synchronous_commit stay as they are: on."""
    libraries = ",".join(preload)
    values = {
        "listen_addresses": "'*'",
        "unix_socket_directories": "'/run/postgresql'",
        "hba_file": "'/etc/perene/config/pg_hba.conf'",
        "ident_file": "'/etc/perene/config/pg_ident.conf'",
        "max_connections": str(max_connections),
        "shared_buffers": f"{max(64, memory // MIB // 4)}MB",
        "effective_cache_size": f"{max(128, memory * 3 // MIB // 4)}MB",
        "maintenance_work_mem": f"{max(32, memory // MIB // 16)}MB",
        "max_wal_size": f"{min(4096, max(128, volume // MIB // 10))}MB",
        "min_wal_size": "80MB",
        "wal_compression": "on",
        "ssl": "on",
        "ssl_cert_file": "'/etc/perene/secrets/tls/tls.crt'",
        "ssl_key_file": "'/etc/perene/secrets/tls/tls.key'",
        "ssl_min_protocol_version": "TLSv1.3",
        "password_encryption": "scram-sha-256",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_timezone": "UTC",
        "log_line_prefix": "'%m [%p] %q%u@%d %a '",
        "log_min_duration_statement": str(slow_query_ms),
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_checkpoints": "on",
        "log_connections": "off",
        "log_lock_waits": "on",
        "log_temp_files": "10MB",
        "log_autovacuum_min_duration": "1min",
        "track_io_timing": "on",
        "timezone": "UTC",
    }
    if libraries:
        values |= {"shared_preload_libraries": f"'{libraries}'", "max_worker_processes": "64"}
    return "".join(f"{name} = {value}\n" for name, value in values.items())


HBA = """\
# type  database  user   address  method
local   all       admin           peer map=pod
local   all       all             reject
hostssl all       all    all      scram-sha-256
host    all       all    all      reject
"""
# The pod's own user, whom `kubectl exec` gives, is admin over the socket.
IDENT = "pod postgres admin\n"


def roles_sql(*, users: Mapping[str, str], databases: Mapping[str, Iterable[str]], extensions: Iterable[str]) -> str:
    """psql input that brings roles and rights to what is declared.

    users: name -> read-write, read-only, ddl or dump; databases: name -> schemas.
    Passwords are read from /etc/perene/secrets/<user>/password by psql itself: they are in no argument and in no log.
    """
    lines = [
        "-- No password may reach the server's log, whatever happens.",
        "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';",
        "SELECT 'CREATE ROLE owner NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'owner') \\gexec",
    ]
    for user, right in users.items():
        lines += _login(user, right)
    listed = ", ".join(f"'{name}'" for name in ("admin", "owner", *users))
    lines += [
        "-- A user that is no longer declared keeps what it owns and may not log in any more.",
        "SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM pg_roles",
        f"  WHERE shobj_description(oid, 'pg_authid') = 'perene' AND rolcanlogin AND rolname NOT IN ({listed}) \\gexec",
    ]
    for database, schemas in databases.items():
        lines += _database(database, tuple(schemas), users, tuple(extensions))
    return "\n".join(lines) + "\n"


def _login(user: str, right: str) -> list[str]:
    attributes = "BYPASSRLS" if right == "dump" else "NOBYPASSRLS"
    lines = [
        f"\\set password `cat /etc/perene/secrets/{user}/password`",
        f"SELECT 'CREATE ROLE {user}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') \\gexec",
        f"ALTER ROLE {user} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {attributes} PASSWORD :'password';",
        f"COMMENT ON ROLE {user} IS 'perene';",
    ]
    if right == "ddl":
        lines += [f"GRANT owner TO {user};", f"ALTER ROLE {user} SET role = 'owner';"]
    if right == "dump":
        lines += [f"GRANT pg_read_all_data TO {user};"]
    if right == "read-only":
        lines += [f"ALTER ROLE {user} SET default_transaction_read_only = on;"]
    return [*lines, "\\unset password"]


def _database(database: str, schemas: tuple[str, ...], users: Mapping[str, str], extensions: tuple[str, ...]) -> list[str]:
    lines = [
        "-- admin owns the database: the role that changes tables must not be able to drop it.",
        f"SELECT 'CREATE DATABASE {database}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec",
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
        f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO owner;",
        *(f"GRANT CONNECT ON DATABASE {database} TO {user};" for user in users),
        f"\\connect {database}",
        "SET log_statement = 'none';",
        *(f"CREATE EXTENSION IF NOT EXISTS {extension};" for extension in extensions),
    ]
    readers = ", ".join(user for user, right in users.items() if right in {"read-write", "read-only"})
    writers = ", ".join(user for user, right in users.items() if right == "read-write")
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
    return lines
