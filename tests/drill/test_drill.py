"""From a running database to a signed record, on PostgreSQL 17 and restic."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup import proofs, sets
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.tier import Check
from perene.drill.run import drill
from perene.drill.scratch import scratch
from perene.safety import drills
from tests.backup.tiers import tier
from tests.programs import needs
from tests.quick_key import new_repository
from tests.safety.keys import make_key

pytestmark = pytest.mark.slow


@needs("postgres", "restic", "zstd")
@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch(settings={"wal_level": "replica"}) as running:
        yield running


@pytest.fixture
def work() -> Iterator[Path]:
    """A directory that the scratch server may enter too: as root it runs as nobody, and pytest's own directories are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_set_is_proven_only_when_it_came_back_and_the_checks_hold(server: Server, tmp_path: Path, work: Path) -> None:
    quiet = Stages(io.StringIO(), live=False)
    repository = new_repository(tmp_path / "repository")
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    with server.connect("shop", autocommit=True) as connection:
        connection.execute("CREATE TABLE public.photo AS SELECT i, md5(i::text) FROM generate_series(1, 100) i")
    document = tier(repository.url, server=server, databases=("shop",), checks=(Check(count="photo", at_least=100, database="shop"),))
    made = make_set(document, repository, stages=quiet)
    signing_key = make_key(tmp_path / "keys", "test")
    public = (tmp_path / "keys" / "test.pub").read_text()
    record = drill(document, repository, key=None, signing_key=signing_key, work=work, stages=quiet)
    assert record.verdict == "passed", record.reasons
    assert record.set == made.id
    assert record.server["fsync"] == "off", "a drill says that its server is faster than a live one"
    assert record.damage is not None
    assert record.damage.found_by, "a canary was damaged, and that was noticed"
    assert drills.genuine(record, public.encode())
    assert [one.proven for one in sets.on_hand(repository.snapshots(), public)] == [True]
    assert [one.proven for one in sets.on_hand(repository.snapshots())] == [False], "without the public key nobody can tell"
    assert len(list((tmp_path / "repository" / "evidence").rglob("*.json"))) == 2, "the exporter sees set and drill without the password"
    stricter = tier(repository.url, server=server, databases=("shop",), checks=(Check(count="photo", at_least=101, database="shop"),))
    again = make_set(stricter, repository, stages=quiet)
    failed = drill(stricter, repository, key=None, signing_key=signing_key, work=work, stages=quiet)
    assert failed.verdict == "failed"
    assert any("photo has 100 rows, at least 101" in reason for reason in failed.reasons)
    assert not proven(repository, public, again.id)
    forged = {"set": again.id, "part": proofs.RECORD, "verdict": "passed"}
    stolen = next(part.tags[proofs.TAG] for part in repository.snapshots(set=made.id) if proofs.TAG in part.tags)
    for proof in ({}, {proofs.TAG: "!"}, {proofs.TAG: stolen}):
        repository.backup_bytes(b"{}", path="/drill.json", tags=forged | proof)
    assert not proven(repository, public, again.id), "tags are written by whoever can write; only the signature counts"
    assert proven(repository, public, made.id)
    repository.backup_bytes(b"another", path="/main.shop.dump.zst", tags={"set": made.id, "store": "main", "part": "shop"})
    assert not proven(repository, public, made.id), "a proof is of the content that was restored, and of no other"


def proven(repository: Repository, public: str, set_id: str) -> bool:
    return next(one.proven for one in sets.on_hand(repository.snapshots(), public) if one.id == set_id)
