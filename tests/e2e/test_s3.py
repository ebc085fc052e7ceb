"""A repository in S3, as the jobs' own identities use it, and what a thief of one of them cannot do. moto stands in for the service."""

import io
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.components import s3_policies
from infra.permissions import WORKING, Identity
from perene.backup import keep, lock, s3, sets
from perene.backup.places import Exists, open_place
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.errors import PereneError
from tests import buckets
from tests.backup.tiers import tier
from tests.programs import needs

QUIET = Stages(io.StringIO(), live=False)
BUCKET = "acme-backups"


@needs("restic", "zstd", "postgres")
@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.S3Server]:
    """A versioned bucket, and the jobs' identities with the rights that the program gives them."""
    with pytest.MonkeyPatch.context() as patch, buckets.s3(tmp_path_factory.mktemp("s3")) as running:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        client = running.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for identity in (Identity.BACKUP, Identity.RETENTION):
            running.identity(identity, s3_policies.identity(BUCKET, WORKING[identity]))
        yield running


@pytest.fixture
def act(server: buckets.S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Policies count during the test."""
    server.enforce(on=True)
    yield monkeypatch
    server.enforce(on=False)


def as_(patch: pytest.MonkeyPatch, identity: str) -> None:
    patch.setenv("AWS_PROFILE", identity)


def test_jobs_do_with_their_rights_what_they_must_and_a_deletion_is_rewound(
    server: buckets.S3Server, act: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "photo").write_bytes(os.urandom(2 << 20))
    url = f"s3:{server.address}/{BUCKET}"
    repository = Repository(url=url, password=lambda: b"x", host="test", retry_lock="1s")
    document = tier(url, files=tmp_path / "uploads")
    as_(act, Identity.BACKUP)
    ensure_repository(repository, QUIET)
    made = make_set(document, repository, stages=QUIET, with_canary=False)
    place = open_place(url)
    assert place.names("locks/") == [], "who may delete under locks/ only removes its own locks"
    with pytest.raises(PereneError, match="AccessDenied"):
        place.delete(place.names("data/")[0])
    with pytest.raises(PereneError, match="could not be removed"):
        repository.forget([repository.snapshots()[0].id])
    with lock.writer(place, "backup", QUIET), pytest.raises(PereneError, match="another backup is writing"):
        make_set(document, repository, stages=QUIET, with_canary=False)
    as_(act, Identity.RETENTION)
    keep.apply(document, repository, now=datetime.now(UTC), dry_run=False, stages=QUIET)

    time.sleep(1.1)  # S3 tells times to the second
    before = datetime.now(UTC)
    time.sleep(1.1)
    thief = open_place(url)
    everything = thief.names("")
    for name in everything[::2]:
        thief.delete(name)
    for name in everything[1::2]:
        thief.replace(name, b"ransom")
    with pytest.raises(PereneError):
        repository.snapshots()
    as_(act, "admin")
    server.enforce(on=False)
    brought = open_place(url).rewind(before)
    assert brought == [name for name in everything if not name.startswith("locks/")]
    repository.check("100%")
    assert [one.id for one in sets.on_hand(repository.snapshots())] == [made.id]
    assert open_place(url).rewind(before) == [], "a second rewind has nothing to do"


def test_a_write_that_creates_never_writes_over(server: buckets.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.client("s3").create_bucket(Bucket="acme-sealed")
    place = open_place(f"s3:{server.address}/acme-sealed/below")
    monkeypatch.setattr(s3, "PARTS", ((2, 5 << 20), (9998, 6 << 20)))
    for name, size in {"small": 10, "in parts": 17 << 20}.items():
        first = os.urandom(size)
        place.create(name, io.BytesIO(first))
        with pytest.raises(Exists):
            place.create(name, io.BytesIO(os.urandom(size)))
        assert place.read(name) == first
    assert not server.client("s3").list_multipart_uploads(Bucket="acme-sealed").get("Uploads"), "nothing half is left and billed"

    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 11 << 20:
                raise PereneError("the dump failed")
            return super().read(size)

    with pytest.raises(PereneError, match="the dump failed"):
        place.create("broken", Breaks(os.urandom(17 << 20)))
    assert place.names("") == ["in parts", "small"]
    assert place.read("absent") is None


def test_a_bucket_that_is_not_there_is_an_error_with_its_address(server: buckets.S3Server) -> None:
    with pytest.raises(PereneError, match="NoSuchBucket"):
        open_place(f"s3:{server.address}/nowhere/x").names("")
