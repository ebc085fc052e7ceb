"""From a running database to a signed record, on PostgreSQL 17 and restic."""

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from perene.backup import sets
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.contract.tier import Check
from perene.drill.run import drill
from perene.drill.scratch import scratch
from tests.backup.tiers import tier
from tests.servers import debian13


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{debian13()}:{before}"
    with scratch(settings={"wal_level": "replica"}) as running:
        yield running
    os.environ["PATH"] = before


def pem() -> bytes:
    kind = serialization.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind)


@pytest.fixture
def work() -> Iterator[Path]:
    """A directory that the scratch server may enter too: as root it runs as nobody, and pytest's own directories are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_set_is_proven_only_when_it_came_back_and_the_checks_hold(server: Server, tmp_path: Path, work: Path) -> None:
    quiet = Stages(io.StringIO(), live=False)
    repository = Repository(url=str(tmp_path / "repository"), password=lambda: b"x", host="test")
    ensure_repository(repository, quiet)
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    with server.connect("shop", autocommit=True) as connection:
        connection.execute("CREATE TABLE public.photo AS SELECT i, md5(i::text) FROM generate_series(1, 100) i")
    document = tier(repository.url, server=server, databases=("shop",), checks=(Check(count="photo", at_least=100, database="shop"),))
    made = make_set(document, repository, stages=quiet)
    record = drill(document, repository, key=None, signing_key=pem(), work=work, stages=quiet)
    assert record.verdict == "passed", record.reasons
    assert record.set == made.id
    assert record.damage is not None
    assert record.damage.found_by, "a canary was damaged, and that was noticed"
    assert record.signature
    assert [one.proven for one in sets.on_hand(repository.snapshots())] == [True]
    assert len(list((tmp_path / "repository" / "evidence").rglob("*.json"))) == 2, "the exporter sees set and drill without the password"
    stricter = tier(repository.url, server=server, databases=("shop",), checks=(Check(count="photo", at_least=101, database="shop"),))
    make_set(stricter, repository, stages=quiet)
    failed = drill(stricter, repository, key=None, signing_key=None, work=work, stages=quiet)
    assert failed.verdict == "failed"
    assert any("photo has 100 rows, at least 101" in reason for reason in failed.reasons)
