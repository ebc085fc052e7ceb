"""The sealed copy: only a proven set, written once, and enough by itself to come back."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from perene.backup import seal
from perene.backup.places import Directory
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.tier import BackupPlan, TierDocument
from perene.drill.run import drill
from perene.drill.scratch import scratch
from perene.drill.sealed import brought
from perene.errors import PereneError
from perene.health.sources import directory
from perene.safety import drills
from tests.backup.tiers import tier
from tests.programs import needs
from tests.quick_key import new_repository
from tests.safety.keys import make_key

pytestmark = needs("postgres", "restic", "zstd")
QUIET = Stages(io.StringIO(), live=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with scratch(settings={"wal_level": "replica"}) as running:
        yield running


@pytest.fixture
def work() -> Iterator[Path]:
    """A directory that the scratch server may enter too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_the_newest_proven_set_is_sealed_once_and_comes_back_from_the_sealed_copy_alone(server: Server, tmp_path: Path, work: Path) -> None:
    repository = new_repository(tmp_path / "repository")
    signing_key, identity = make_key(tmp_path / "keys", "test"), pyrage.x25519.Identity.generate()
    public = (tmp_path / "keys" / "test.pub").read_text()
    (tmp_path / "identity").write_text(f"{identity}\n")
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    with server.connect("shop", autocommit=True) as connection:
        connection.execute("CREATE TABLE public.photo AS SELECT i, md5(i::text) FROM generate_series(1, 1000) i")
    document = sealing(tier(repository.url, server=server, databases=("shop",)), tmp_path / "vault", public, str(identity.to_public()))
    made = make_set(document, repository, stages=QUIET)
    with pytest.raises(PereneError, match="no set is proven"):
        seal.seal(document, repository, stages=QUIET)
    assert drill(document, repository, key=None, signing_key=signing_key, work=work, stages=QUIET).verdict == "passed"
    make_set(document, repository, stages=QUIET, with_canary=False)
    record, now = seal.seal(document, repository, stages=QUIET)
    assert (record.set, now) == (made.id, True), "the newest one that is proven, not the newest"
    archive = tmp_path / "vault" / record.name
    before = archive.read_bytes()
    assert record.bytes == len(before)
    assert seal.seal(document, repository, stages=QUIET) == (record, False), "a second run says that it is done"
    (tmp_path / "repository" / "evidence" / "sealed" / f"{made.id}.json").unlink()
    again, now = seal.seal(document, repository, stages=QUIET)
    assert (again.set, again.bytes, now) == (made.id, None, False), "one that could not be recorded is found complete"
    assert archive.read_bytes() == before, "and nothing is written over"
    assert directory(tmp_path / "repository" / "evidence")(document).sealed is not None, "the exporter sees it"

    shutil.rmtree(tmp_path / "repository")
    (tmp_path / "elsewhere").mkdir()
    with brought(str(tmp_path / "vault"), tmp_path / "identity", wanted="newest", work=work, stages=QUIET) as (manifest, alone):
        assert manifest == made
        proven = drill(
            manifest.tier,
            alone,
            key=None,
            signing_key=signing_key,
            work=work,
            stages=QUIET,
            source="sealed",
            evidence=Repository(url=str(tmp_path / "elsewhere"), password=lambda: b"", host=""),
            fetched=1000.0,
        )
    assert (proven.source, proven.verdict, proven.set) == ("sealed", "passed", made.id), proven.reasons
    assert drills.genuine(proven, public.encode())
    assert proven.rpo_goal_seconds == 8 * 86400, "its recovery point is its interval"
    assert proven.rto_seconds > 1000, "to fetch it is part of the recovery time"
    (name,) = Directory(tmp_path / "elsewhere").names("evidence/drills/")
    assert made.id in name
    assert list(work.iterdir()) == [], "nothing of it stays"

    damaged = bytearray(before)
    damaged[len(before) // 2] ^= 1
    archive.write_bytes(damaged)
    with (
        pytest.raises(PereneError, match="truncated or altered"),
        brought(str(tmp_path / "vault"), tmp_path / "identity", wanted=made.id, work=work, stages=QUIET),
    ):
        pass


def sealing(document: TierDocument, vault: Path, public: str, recipient: str) -> TierDocument:
    """The tier with a sealed copy."""
    assert document.repository is not None
    plan = BackupPlan(at="01:00 UTC", keep={"daily": 7}, drill_every="1d", sealed_every="7d")
    kept = document.repository.model_copy(update={"sealed_copy": str(vault)})
    return document.model_copy(update={"repository": kept, "proof_key": public, "recipient": recipient, "backups": plan})
