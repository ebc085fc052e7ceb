"""The servers and repositories of the tests of backups, and a shop to be lost and brought back."""

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.recovery_set import RecoverySet
from perene.contract.tier import Check, Login, TierDocument
from tests.backup.conftest import PASSWORD, empty_repository, server  # noqa: F401 - the fixtures
from tests.backup.tiers import tier
from tests.command import perene_on

ROWS = 100
NAME = "shop"


def quiet() -> Stages:
    return Stages(io.StringIO(), live=False)


@dataclass(frozen=True)
class Shop:
    """A tier of one database and a tree of files, its repository, and one set of it as it was first."""

    server: Server
    files: Path
    repository: Repository
    tier: TierDocument
    made: RecoverySet

    def sql(self, statement: str, database: str = "") -> list[tuple[object, ...]]:
        with self.server.connect(database or NAME, autocommit=True) as connection:
            done = connection.execute("SET search_path = public")
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def databases(self) -> set[str]:
        """Endings of the databases that begin with the shop's name."""
        found = self.sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{NAME}%'", "postgres")
        return {str(row[0]).removeprefix(NAME) for row in found}

    def spoil(self) -> None:
        """What a person wants undone: rows deleted, a file gone, another one new."""
        self.sql("DELETE FROM photo WHERE i > 3; INSERT INTO photo VALUES (-1, 'new')")
        (self.files / "letter").unlink()
        (self.files / "draft").write_text("new")

    @property
    def state(self) -> tuple[str, str]:
        """`old` (spoilt), `new` (as in the set), or what else it is: of the database and of the files."""
        rows = self.sql("SELECT count(*), min(i) FROM photo")[0]
        there = {path.name for path in self.files.iterdir()} - {".perene-restore"}
        return (
            {(4, -1): "old", (ROWS, 1): "new"}.get((int(str(rows[0])), int(str(rows[1]))), f"a mixture: {rows}"),
            {frozenset({"draft", "deep"}): "old", frozenset({"letter", "deep"}): "new"}.get(frozenset(there), f"a mixture: {there}"),
        )


def document(repository: Path, on: Server, files: Path) -> TierDocument:
    check = Check(count="photo", at_least=ROWS, database=NAME)
    found = tier(str(repository), server=on, databases=(NAME,), files=files, checks=(check,))
    logins = {"admin": Login(user=on.user), "shopper": Login(user="shopper")}
    main_store = found.stores["main"].model_copy(update={"logins": logins, "rights": {"admin": "admin", "shopper": "read-write"}})
    return found.model_copy(update={"stores": found.stores | {"main": main_store}})


def opened(url: Path) -> Repository:
    return Repository(url=str(url), password=lambda: PASSWORD, host="test", retry_lock="1s")


def fresh(on: Server, files: Path) -> None:
    """The shop as it is before anything happens."""
    with on.connect("postgres", autocommit=True) as admin:
        for (name,) in admin.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'shop%%' AND datname <> 'template_shop'"
        ).fetchall():
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        admin.execute(f"CREATE DATABASE {NAME} OWNER shopper TEMPLATE template_shop CONNECTION LIMIT 20")
        admin.execute(f"COMMENT ON DATABASE {NAME} IS 'the shop'; ALTER DATABASE {NAME} SET work_mem = '8MB'")
        admin.execute(f"REVOKE ALL ON DATABASE {NAME} FROM public; GRANT CONNECT ON DATABASE {NAME} TO shopper")
    shutil.rmtree(files, ignore_errors=True)
    (files / "deep").mkdir(parents=True)
    (files / "letter").write_text("dear")
    os.utime(files / "letter", (1, 1))


@pytest.fixture(scope="session")
def backed_up(server: Server, empty_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecoverySet]:  # noqa: F811
    """A repository with one set of the shop, to be copied."""
    folder = tmp_path_factory.mktemp("shop")
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE shopper LOGIN")
        admin.execute("CREATE DATABASE template_shop")
    with server.connect("template_shop", autocommit=True) as connection:
        rows = f"SELECT i, md5(i::text) AS m FROM generate_series(1, {ROWS}) i"
        connection.execute(f"CREATE TABLE public.photo AS {rows}; GRANT ALL ON public.photo TO shopper")
    shutil.copytree(empty_repository, folder / "repository")
    fresh(server, folder / "files")
    made = make_set(
        document(folder / "repository", server, folder / "files"), opened(folder / "repository"), stages=quiet(), with_canary=False
    )
    return folder / "repository", made


@pytest.fixture
def shop(server: Server, backed_up: tuple[Path, RecoverySet], tmp_path: Path) -> Shop:  # noqa: F811
    fresh(server, tmp_path / "volume" / "uploads")
    shutil.copytree(backed_up[0], tmp_path / "repository")
    tier = document(tmp_path / "repository", server, tmp_path / "volume" / "uploads")
    return Shop(server, tmp_path / "volume" / "uploads", opened(tmp_path / "repository"), tier, backed_up[1])


@pytest.fixture
def perene(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`perene WORDS` on the shop's tier: its exit code and what it said."""
    monkeypatch.setattr("perene.backup.tier.resolve", lambda _: PASSWORD)

    def run(*words: str, document: TierDocument = shop.tier) -> tuple[int, str]:
        return perene_on(document, tmp_path, words, capsys)

    return run


def rewritten(shop: Shop, change: Callable[[RecoverySet], RecoverySet]) -> None:
    """Put another manifest in the place of the set's own: as if the set had been made of other data."""
    old = shop.repository.find("/manifest.json", set=shop.made.id)
    text = change(shop.made).to_json().encode()
    json.loads(text)
    shop.repository.backup_bytes(text, path="/manifest.json", tags={"set": shop.made.id, "part": "manifest"})
    shop.repository.forget([old.id])
