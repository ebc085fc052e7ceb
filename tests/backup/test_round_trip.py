"""A backup is one only when it was restored and compared: on PostgreSQL 17 and restic of Debian 13."""

import dataclasses
import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.arriving import arrived
from perene.backup.postgres import dump
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import PostgresContent, Role, StoreSet
from perene.restore import compare, filling, postgres

RICH = Path(__file__).with_name("rich.sql").read_text()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database with everything in it."""
    name = f"db_{uuid.uuid4().hex[:8]}"
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app LOGIN; "
            "CREATE ROLE team NOLOGIN; GRANT team TO app; ALTER ROLE app SET statement_timeout = '30s'; END IF; END $$"
        )
        admin.execute(f"CREATE DATABASE {name} OWNER team")
        admin.execute(f"ALTER DATABASE {name} SET work_mem = '8MB'; ALTER ROLE app IN DATABASE {name} SET search_path = app, public")
        admin.execute(f"REVOKE ALL ON DATABASE {name} FROM public; GRANT CONNECT ON DATABASE {name} TO app")
    with server.connect(name, autocommit=True) as connection:
        connection.execute("SET search_path = public")
        connection.execute(RICH)
        connection.execute(
            "GRANT SELECT, INSERT ON users TO app; GRANT USAGE ON SEQUENCE counter TO team WITH GRANT OPTION; "
            "ALTER DEFAULT PRIVILEGES FOR ROLE team GRANT SELECT ON TABLES TO app"
        )
    yield name
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def backed_up(server: Server, repository: Repository, *databases: str) -> StoreSet:
    return dump.backup(
        server, databases, kind="postgres", repository=repository, set_id="one", store="main", stages=Stages(io.StringIO(), live=False)
    )


def brought_back(server: Server, repository: Repository, store: StoreSet, name: str, folder: Path) -> str:
    content = store.content
    assert isinstance(content, PostgresContent)
    target, file = f"{name}_back", folder / f"{name}.dump"
    repository.fetch(repository.find(f"/main.{name}.dump.zst", set="one"), file)
    postgres.ensure_roles(server, content.roles)
    postgres.create(server, target, content.records[name], "one")
    with arrived(file) as whole:
        filling.fill(server, whole, target, folder=file.parent, timescale=content.databases[name].extensions.get("timescaledb"))
    postgres.finish(server, target, content.records[name], "one")
    return target


def test_everything_that_a_database_holds_comes_back_the_same(
    server: Server, repository: Repository, database: str, tmp_path: Path
) -> None:
    store = backed_up(server, repository, database)
    assert isinstance(store.content, PostgresContent)
    target = brought_back(server, repository, store, database, tmp_path)
    differences = postgres.compared(server, target, database, store.content)
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {target}")
    assert not differences, "\n".join(map(str, differences))
    found = store.content.databases[database]
    assert found.tables["public.users"].rows == 1000
    assert found.tables['Odd Näme.tab.le "q"'].rows == 1, "odd names are read too"
    assert found.tables["public.secret_rows"].rows == 2, "row-level security hides nothing from a backup"
    assert found.large_objects.rows == 1


def test_a_superuser_is_compared_where_the_server_may_have_one_and_named_elsewhere(server: Server) -> None:
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE boss; CREATE ROLE plain LOGIN")
    expected = {"boss": Role(attributes=("SUPERUSER",), member_of=(), settings=()), "admin": Role(attributes=(), member_of=(), settings=())}
    content = PostgresContent(databases={}, records={}, roles=expected)
    assert postgres.not_compared(server, content) == ("SUPERUSER of role admin",), "a server's own administrator is its own matter"
    found = {name: Role(attributes=(), member_of=(), settings=()) for name in expected}
    assert [str(one) for one in compare.roles(expected, found)] == ["role attributes boss: expected SUPERUSER, found "]
    as_plain = dataclasses.replace(server, user="plain")
    assert postgres.not_compared(as_plain, content) == ("SUPERUSER of role boss", "SUPERUSER of role admin")
    assert not compare.roles(expected, found, ("boss",))
