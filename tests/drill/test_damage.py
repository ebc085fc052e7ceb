"""The drill proves itself: every kind of damage that we could think of is noticed."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.postgres import dump
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.contract.recovery_set import StoreSet
from perene.drill import canary, proof
from perene.drill.damage import CATALOGUE, Damage, of_day
from perene.drill.scratch import scratch
from tests.programs import needs
from tests.quick_key import new_repository

pytestmark = pytest.mark.slow
SET = "20261124T010000Z-abcdef"


@needs("postgres", "restic", "zstd")
@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as running:
        yield running


@pytest.fixture(scope="module")
def carried(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[StoreSet, Path]:
    folder = tmp_path_factory.mktemp("canary")
    repository = new_repository(folder / "repository")
    canary.make(server, SET)
    made = dump.backup(
        server,
        (canary.DATABASE,),
        kind="postgres",
        repository=repository,
        set_id=SET,
        store="canary",
        stages=Stages(io.StringIO(), live=False),
    )
    repository.fetch(repository.find(made.parts[0].path, set=SET), folder / "dump")
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"COMMENT ON DATABASE {canary.DATABASE} IS 'perene {SET} complete'")
    return made, folder / "dump"


def noticed(server: Server, carried: tuple[StoreSet, Path], damage: Damage, folder: Path) -> str:
    made, original = carried
    spoilt = folder / "spoilt"
    shutil.copy(original, spoilt)
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {canary.DATABASE} WITH (FORCE)")
        admin.execute("DROP ROLE IF EXISTS somebody_else")
        admin.execute(f"DROP ROLE IF EXISTS {canary.ROLE}")
    return proof.prove(server, spoilt, made, damage, SET).found_by


def test_an_undamaged_canary_shows_no_difference(server: Server, carried: tuple[StoreSet, Path], tmp_path: Path) -> None:
    assert noticed(server, carried, Damage("nothing", "sql", "SELECT 1"), tmp_path) == ""


@pytest.mark.parametrize("damage", CATALOGUE, ids=lambda damage: damage.kind)
def test_damage_is_noticed(damage: Damage, server: Server, carried: tuple[StoreSet, Path], tmp_path: Path) -> None:
    assert noticed(server, carried, damage, tmp_path), f"{damage.kind} went unnoticed"


def test_every_kind_has_its_turn() -> None:
    assert len(CATALOGUE) >= 25
    assert {of_day(day).kind for day in range(len(CATALOGUE))} == {damage.kind for damage in CATALOGUE}
