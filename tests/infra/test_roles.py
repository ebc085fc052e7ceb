"""The SQL of roles, run on a real PostgreSQL: what each user can do, and above all what it cannot."""

import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from infra.components.postgres_roles import Role, roles_sql
from tests.migrate.conftest import Server, server
from tests.programs import needs, postgres

__all__ = ["server"]
pytestmark = needs("postgres")
ROOT = Path(__file__).parents[2]
USERS = {"app": "read-write", "readonly": "read-only", "migrator": "ddl", "backup": "dump"}


def run(server: Server, user: str, sql: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(server.directory), "-U", user, "-d", "postgres", "-f", "-"]
    return subprocess.run(command, input=sql, capture_output=True, text=True, cwd=tmp_path, check=False)


@pytest.fixture(scope="module", params=["own server", "cloud sql"])
def database(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, str]:
    """A database with a table that the migrator made, under roles made by admin or by a Cloud SQL-like administrator."""
    directory = tmp_path_factory.mktemp("roles")
    managed = request.param == "cloud sql"
    name = "managed" if managed else "own"
    with psycopg.connect(server.conninfo("admin", "postgres"), autocommit=True) as admin:
        for user in [*USERS, "owner"]:
            for other in ("own", "managed", "lux1"):
                if admin.execute("select 1 from pg_database where datname = %s", [other]).fetchone():
                    admin.execute(f"DROP DATABASE {other} WITH (FORCE)")
            if admin.execute("select 1 from pg_roles where rolname = %s", [user]).fetchone():
                admin.execute(f"DROP OWNED BY {user}")
                admin.execute(f"DROP ROLE {user}")
        if managed:
            # What the service gives: an administrator that is no superuser, with the logins and the database made already.
            admin.execute("CREATE ROLE chief LOGIN CREATEROLE CREATEDB")
            admin.execute("GRANT pg_read_all_data TO chief WITH ADMIN OPTION")
            for user in USERS:
                admin.execute(f"CREATE ROLE {user} LOGIN")
            admin.execute("CREATE DATABASE managed OWNER chief")
            with psycopg.connect(server.conninfo("admin", "managed"), autocommit=True) as inside:
                inside.execute("ALTER SCHEMA public OWNER TO chief")
    files = {}
    for user in USERS:
        files[user] = directory / user
        files[user].write_text(f"secret-of-{user}")
    roles = [Role(name=user, right=right, password_file=None if managed else str(files[user])) for user, right in USERS.items()]
    sql = roles_sql(roles, {name: ("public", "audit")}, (), managed=managed)
    for _ in range(2):
        done = run(server, "chief" if managed else "admin", sql, directory)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(server.conninfo("migrator", name), autocommit=True) as migrator:
        if managed:  # as perene migrate does where nobody may give the login its setting
            migrator.execute("SET ROLE owner")
        migrator.execute("CREATE TABLE cases(id int generated always as identity primary key, title text)")
        migrator.execute("CREATE TABLE audit.log(line text)")
    return server, name


ALLOWED = [
    ("app", "INSERT INTO cases(title) VALUES ('a')"),
    ("app", "UPDATE cases SET title = 'b'"),
    ("app", "DELETE FROM cases"),
    ("app", "INSERT INTO audit.log VALUES ('x')"),
    ("readonly", "SELECT * FROM cases"),
    ("backup", "SELECT * FROM audit.log"),
    ("migrator", "ALTER TABLE cases ADD COLUMN IF NOT EXISTS phone text"),
]
REFUSALS = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
REFUSED = [
    ("app", "CREATE TABLE mine(id int)"),
    ("app", "ALTER TABLE cases ADD COLUMN x int"),
    ("app", "DROP TABLE cases"),
    ("app", "TRUNCATE cases"),
    ("readonly", "INSERT INTO cases(title) VALUES ('a')"),
    ("readonly", "SET TRANSACTION READ WRITE; DELETE FROM cases"),
    ("readonly", "CREATE TEMPORARY TABLE t(id int)"),
    ("backup", "INSERT INTO cases(title) VALUES ('a')"),
    ("backup", "CREATE TABLE mine(id int)"),
    ("migrator", "DROP DATABASE {database}"),
    ("migrator", "CREATE ROLE intruder"),
    ("app", "SET ROLE owner"),
]


@pytest.mark.parametrize(("user", "statement"), ALLOWED)
def test_a_user_can_do_its_work(database: tuple[Server, str], user: str, statement: str) -> None:
    server, name = database
    with psycopg.connect(server.conninfo(user, name), autocommit=True) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(("user", "statement"), REFUSED)
def test_a_user_cannot_do_more(database: tuple[Server, str], user: str, statement: str) -> None:
    server, name = database
    # Dropping is tried from another database: one cannot drop the one that one is in, whatever one's rights.
    where = "postgres" if "DROP DATABASE" in statement else name
    with psycopg.connect(server.conninfo(user, where), autocommit=True) as connection, pytest.raises(REFUSALS):
        connection.execute(statement.format(database=name))


def test_what_the_migrator_makes_belongs_to_owner(database: tuple[Server, str]) -> None:
    server, name = database
    with psycopg.connect(server.conninfo("admin", name)) as admin:
        owners = {row[0] for row in admin.execute("select distinct tableowner from pg_tables where tablename in ('cases', 'log')")}
    assert owners == {"owner"}


def test_backup_reads_under_row_level_security_or_says_that_it_cannot(database: tuple[Server, str], tmp_path: Path) -> None:
    server, name = database
    with psycopg.connect(server.conninfo("migrator", name), autocommit=True) as migrator:
        migrator.execute("SET ROLE owner")
        migrator.execute("ALTER TABLE cases ENABLE ROW LEVEL SECURITY")
    if name == "own":
        dump = subprocess.run(
            [postgres() / "pg_dump", "-h", server.directory, "-U", "backup", "-d", name, "-t", "cases"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert dump.returncode == 0, dump.stderr
        return
    roles = [Role(name=user, right=right) for user, right in USERS.items()]
    done = run(server, "chief", roles_sql(roles, {name: ("public", "audit")}, (), managed=True), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "backup cannot dump tables with row-level security in database managed: cases" in done.stderr


def test_no_password_reaches_the_servers_log(database: tuple[Server, str]) -> None:
    server, _ = database
    assert "secret-of-" not in (server.directory / "log").read_text()


def test_the_exporters_login_sees_figures_and_enters_no_database_of_the_application(server: Server, tmp_path: Path) -> None:
    password = tmp_path / "monitor"
    password.write_text("x")
    sql = roles_sql([Role(name="monitor", right="monitor", password_file=str(password))], {"watched": ("public",)}, (), managed=False)
    done = run(server, "admin", sql, tmp_path)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(server.conninfo("monitor", "postgres"), autocommit=True) as monitor:
        assert monitor.execute("select count(*) from pg_stat_activity where backend_type = 'checkpointer' and wait_event is not null")
        queries = (ROOT / "infra/components/files/postgres-exporter-queries.yml").read_text()
        row = monitor.execute(yaml.safe_load(queries)["perene_pg"]["query"]).fetchone()
        assert row
        assert 0 < row[1] < 0.1, "the share of transaction ids is seen, of every database"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("select * from pg_authid")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(server.conninfo("monitor", "watched"))
    with psycopg.connect(server.conninfo("admin", "postgres"), autocommit=True) as admin:
        admin.execute("DROP DATABASE watched")


def test_a_user_that_is_no_longer_declared_cannot_log_in(server: Server, tmp_path: Path) -> None:
    password = tmp_path / "app"
    password.write_text("x")
    both = [Role(name=user, right="read-only", password_file=str(password)) for user in ("first", "second")]
    for roles in (both, both[:1]):
        assert run(server, "admin", roles_sql(roles, {}, (), managed=False), tmp_path).returncode == 0
    with psycopg.connect(server.conninfo("admin", "postgres")) as admin:
        rows = admin.execute("select rolname, rolcanlogin from pg_roles where rolname in ('first', 'second')").fetchall()
    assert dict(rows) == {"first": True, "second": False}
