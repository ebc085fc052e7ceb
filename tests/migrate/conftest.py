"""A real PostgreSQL for the tests of migrations, on a socket only, with the roles that the tier declares."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from perene.contract.values import Duration
from perene.migrate.deploy import Applications, Deployment
from perene.migrate.ledger import Actor
from perene.migrate.scripts import load
from perene.migrate.session import Limits
from tests.programs import needs, postgres

ROLES = """
CREATE ROLE owner NOLOGIN; CREATE ROLE migrator LOGIN; GRANT owner TO migrator; ALTER ROLE migrator SET role = 'owner';
CREATE ROLE app LOGIN; CREATE ROLE readonly LOGIN;
"""
RIGHTS = """
GRANT CREATE, TEMPORARY ON DATABASE {0} TO owner; ALTER SCHEMA public OWNER TO owner; GRANT USAGE ON SCHEMA public TO app, readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT USAGE, UPDATE ON SEQUENCES TO app;
"""
QUICK = Limits(
    lock=Duration(300, "ms"), statement=Duration(30, "s"), blocked=Duration(1, "s"), concurrent=Duration(20, "s"), runner=Duration(20, "s")
)
NOTHING_RUNS = Applications(none_runs=True)


class Server:
    """A PostgreSQL server of the test run. directory: of its socket."""

    def __init__(self, directory: Path, bin_directory: Path) -> None:
        self.directory, self._bin = directory, bin_directory
        self._number = 0

    def start(self) -> None:
        # PostgreSQL does not run as root.
        self._as = [] if os.getuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if self._as:
            os.chown(self.directory, 65534, 65534)
        data = self.directory / "data"
        self._run("initdb", "-D", data, "-U", "admin", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start_again()
        with psycopg.connect(self.conninfo("admin", "postgres"), autocommit=True) as admin:
            admin.execute(ROLES)

    def start_again(self) -> None:
        options = f"-k {self.directory} -c listen_addresses='' -c fsync=off -c max_connections=60 -c shared_buffers=32MB"
        self._run("pg_ctl", "start", "-w", "-D", self.directory / "data", "-o", options, "-l", self.directory / "log")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self.directory / "data")

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as, str(self._bin / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=self.directory)

    def conninfo(self, user: str, database: str) -> str:
        return f"host={self.directory} user={user} dbname={database}"

    def new_database(self) -> str:
        self._number += 1
        name = f"lux{self._number}"
        with psycopg.connect(self.conninfo("admin", "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(self.conninfo("admin", name), autocommit=True) as admin:
            admin.execute(RIGHTS.format(name))
        return name


@needs("postgres")
@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # A socket's path may have 107 characters, and the server's user must reach it.
    directory = Path(subprocess.check_output(["mktemp", "-d", "/tmp/perene-pg.XXXXXX"], text=True).strip())
    running = Server(directory, postgres())
    running.start()
    yield running
    running.stop()
    shutil.rmtree(directory)


class Database:
    """One database and a directory of scripts that a test fills."""

    def __init__(self, server: Server, name: str, directory: Path) -> None:
        self.server, self.name, self.directory = server, name, directory

    def script(self, label: str, up: str, down: str = "SELECT 1;", **header: str) -> None:
        lines = {"description": label, **{key.replace("_", "-"): value for key, value in header.items()}}
        head = "".join(f"-- {key}: {value}\n" for key, value in lines.items())
        (self.directory / f"{label}.up.sql").write_text(head + up + "\n")
        (self.directory / f"{label}.down.sql").write_text(down + "\n")

    def conninfo(self, user: str = "migrator") -> str:
        return self.server.conninfo(user, self.name)

    def connect(self, user: str = "admin") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.conninfo(user), autocommit=True)

    def value(self, query: str, user: str = "admin") -> object:
        with self.connect(user) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None

    def deployment(
        self,
        *,
        limits: Limits = QUICK,
        applications: Applications = NOTHING_RUNS,
        tell: Callable[[str], None] = lambda _: None,
        user: str = "migrator",
    ) -> Deployment:
        return Deployment(
            database=self.conninfo(user),
            migrations=load(self.directory),
            actor=Actor(by="ana", commit="c0ffee"),
            limits=limits,
            applications=applications,
            tell=tell,
        )


@pytest.fixture
def database(server: Server, tmp_path: Path) -> Database:
    directory = tmp_path / "migrations"
    directory.mkdir()
    return Database(server, server.new_database(), directory)
