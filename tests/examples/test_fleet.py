"""Fleet, end to end on a real PostgreSQL: sealed photos are lost, restored, counted, and open with the right key only."""

import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.run import make_set
from perene.contract.tier import FacesRebuild
from perene.rebuild import faces, sealed
from perene.restore import run as restore
from tests.backup.tiers import tier
from tests.examples.conftest import Run
from tests.programs import needs
from tests.quick_key import new_repository

PHOTOS = 60


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key").write_bytes(os.urandom(32))
    return tmp_path / "key"


@pytest.fixture
def work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def database(server: Server, app: Run, key: Path) -> Iterator[str]:
    """libpq's words for a database with photos in it."""
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE fleet")
    words = f"host={server.host} user={server.user} dbname=fleet"
    assert app("setup", "--database", words).returncode == 0
    made = app("generate", "--database", words, "--key", str(key), "--photos", str(PHOTOS))
    assert made.returncode == 0, made.stderr
    yield words
    with server.connect("postgres", autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'fleet%'").fetchall():
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.slow
@needs("restic", "zstd")
def test_what_was_lost_comes_back_and_opens(server: Server, app: Run, key: Path, database: str, work: Path) -> None:
    before = app("verify", "--database", database, "--key", str(key)).stdout
    counts = json.loads(before)
    assert counts["photo"] == PHOTOS
    assert counts["audit_log"] > PHOTOS

    quiet = Stages(io.StringIO(), live=False)
    repository = new_repository(work / "repository")
    document = tier(repository.url, server=server, databases=("fleet",))
    made = make_set(document, repository, stages=quiet, with_canary=False)
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE fleet WITH (FORCE)")

    restorer, job = restore.jobs(made, repository, stores=document.stores, work=work, stages=quiet)["main"]
    assert not restorer.beside(job).differences
    restored = database.replace("dbname=fleet", f"dbname=fleet__{job.stamp}")
    assert app("verify", "--database", restored, "--key", str(key)).stdout == before, "COUNT(*) of both tables, and every photo as it opens"

    wrong = work / "wrong"
    wrong.write_bytes(os.urandom(32))
    refused = app("verify", "--database", restored, "--key", str(wrong))
    assert refused.returncode == 1
    assert "WRONG KEY: photo 1 does not open" in refused.stderr


def test_after_a_rotation_everything_is_sealed_anew_and_reads_the_same(app: Run, key: Path, database: str, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.write_bytes(os.urandom(32))
    before = app("verify", "--database", database, "--key", str(key)).stdout
    assert app("verify", "--database", database, "--key", str(new), "--key", str(key)).stdout == before, "both keys at hand"
    assert json.loads(app("reseal", "--database", database, "--key", str(new), "--key", str(key)).stdout) == {"resealed": PHOTOS}
    assert json.loads(app("reseal", "--database", database, "--key", str(new), "--key", str(key)).stdout) == {"resealed": 0}
    assert app("verify", "--database", database, "--key", str(new)).stdout == before
    assert "WRONG KEY" in app("verify", "--database", database, "--key", str(key)).stderr


def test_the_face_collection_is_made_from_what_the_application_sealed(server: Server, key: Path, database: str) -> None:
    settings = FacesRebuild(
        region="us-east-1", collection="fleet", store="main", database="fleet", table="public.photo", id="id", bytes="image"
    )
    photos, ids = faces.table(server, settings)
    open_ = sealed.opener({1: key.read_bytes()})
    opened = {name: open_(name, bytes_) for name, bytes_ in photos()}
    assert sorted(map(int, opened)) == sorted(map(int, ids)) == list(range(1, PHOTOS + 1))
    assert all(image and image.startswith(b"\xff\xd8\xff\xe0") for image in opened.values())
