"""The examples' own cross-checks, on their own data, by the commands a person gives: what does not fit is named on both sides, exit 6."""

import importlib.util
import io
import json
import random
import uuid
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.run import make_set
from perene.contract.cross_check import Paths
from perene.contract.tier import SecretRef, TierDocument
from perene.engine.stacks import stack_files
from perene.engine.tier import tier_of
from tests.backup.tiers import tier
from tests.command import perene_on
from tests.examples.conftest import ROOT
from tests.programs import needs
from tests.quick_key import new_repository
from tests.safety.keys import make_key

QUIET = Stages(io.StringIO(), live=False)
CHECK = {"olt": "photos", "vision": "pictures"}


def program(system: str) -> Any:
    """The reference application's module."""
    spec = importlib.util.spec_from_file_location(f"{system}_app", ROOT / f"examples/{system}/app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled_olt(words: str, media: Path, app: Any) -> None:
    app.generate(app.Inventory(app.argparse.Namespace(**dict.fromkeys(REDIS), database=words, password_file=None)), media, 20, 1)


REDIS = ("tasks", "tasks_password_file", "cache", "cache_password_file")


def filled_vision(words: str, media: Path, app: Any) -> None:
    chance = random.Random(1)  # noqa: S311 - made-up data
    for _ in range(20):
        message = {"id": str(uuid.UUID(bytes=chance.randbytes(16))), "at": 1_790_000_000, "camera": "c", "kind": "person", "score": 0.5}
        app.store(words, media, {**message, "picture": b64encode(chance.randbytes(900)).decode()})


FILL: dict[str, Callable[[str, Path, Any], None]] = {"olt": filled_olt, "vision": filled_vision}


@pytest.fixture
def perene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`perene WORDS` on a tier document: its exit code and what it said."""
    monkeypatch.setattr("perene.backup.tier.resolve", lambda _: b"x")
    key = make_key(tmp_path / "keys", "test")
    monkeypatch.setattr("perene.cli.drill.resolve", lambda _: key)

    def run(document: TierDocument, *words: str) -> tuple[int, str]:
        return perene_on(document, tmp_path, words, capsys)

    return run


@needs("restic", "zstd")
@pytest.mark.slow
@pytest.mark.parametrize("system", list(CHECK))
def test_planted_orphans_are_found_by_drill_and_restore(
    system: str, server: Server, tmp_path: Path, perene: Callable[..., tuple[int, str]]
) -> None:
    declared = tier_of(ROOT, f"{system}-dev")
    check = declared.cross_checks[CHECK[system]]
    assert isinstance(check.against, Paths)
    database, media = check.rows.database, tmp_path / "volume" / check.against.below
    media.mkdir(parents=True)
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{database}"'.encode())
    words, app = f"host={server.host} user={server.user} dbname={database}", program(system)
    with psycopg.connect(words) as connection:
        connection.execute(app.SCHEMA)
    FILL[system](words, media, app)

    repository = new_repository(tmp_path / "repository")
    found = tier(repository.url, server=server, databases=(database,), files=tmp_path / "volume")
    stores = {"main": found.stores["main"], "media": found.stores["uploads"]}
    signing = SecretRef(vault="kubernetes", scope="test", name="signing", key="key")
    document = found.model_copy(update={"stores": stores, "cross_checks": {CHECK[system]: check}, "signing": signing})

    def both(name: str) -> list[tuple[int, str]]:
        make_set(document, repository, stages=QUIET)
        drilled = perene(document, "drill")
        return [drilled, perene(document, "restore", "newest", "--to", str(tmp_path / name))]

    for code, said in both("whole"):
        assert code == 0, said
    assert f"cross-check {CHECK[system]}: 20 rows" in said

    lost = next(media.glob("*.jpg"))
    lost.rename(tmp_path / lost.name)
    for number in range(check.orphans + 2):
        (media / f"stranger-{number:04d}.jpg").write_bytes(b"x")
    for code, said in both("planted"):
        assert code == 6, said
        assert f"{CHECK[system]}: {lost.name}: expected a file of media, found a row of {check.rows.table} only" in said
        assert f"{CHECK[system]}: stranger-0000.jpg: expected a row of {check.rows.table}, found a file of media only" in said
        assert f"at most {check.orphans} that no row names, found {check.orphans + 2}" in said
    with server.connect("postgres", autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{database}%",)).fetchall():
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_every_environment_of_an_example_makes_the_same_checks() -> None:
    for system, check in CHECK.items():
        made = [tier_of(ROOT, stack).cross_checks for stack in stack_files(ROOT) if stack.startswith(f"{system}-")]
        assert len(made) == 3
        assert {json.dumps(one[check].rows.model_dump()) for one in made} == {json.dumps(made[0][check].rows.model_dump())}
