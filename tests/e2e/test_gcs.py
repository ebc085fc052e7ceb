"""A repository in GCS: restic and perene on fake-gcs-server, built from its Go module. A double: see tests/buckets.py for what it lacks."""

import io
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from perene.backup import keep, sets
from perene.backup.places import Exists, open_place
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.errors import PereneError
from tests import buckets
from tests.backup.tiers import tier
from tests.programs import needs

pytestmark = needs("fake-gcs-server", "postgres", "restic", "zstd")
QUIET = Stages(io.StringIO(), live=False)


@pytest.fixture(scope="module", autouse=True)
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bucket that keeps what is deleted or overwritten."""
    with pytest.MonkeyPatch.context() as patch, buckets.gcs(tmp_path_factory.mktemp("gcs")) as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        made = {"name": "acme-backups", "versioning": {"enabled": True}}
        requests.post(f"{environment['STORAGE_EMULATOR_HOST']}/storage/v1/b?project=acme", json=made, timeout=5).raise_for_status()
        yield


def test_a_set_is_made_thinned_out_and_rewound_after_a_malicious_deletion(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "photo").write_bytes(os.urandom(2 << 20))
    url = "gs:acme-backups:/"
    repository = Repository(url=url, password=lambda: b"x", host="test", retry_lock="1s")
    ensure_repository(repository, QUIET)
    document = tier(url, files=tmp_path / "uploads")
    made = make_set(document, repository, stages=QUIET, with_canary=False)
    place = open_place(url)
    assert place.names("locks/") == []
    keep.apply(document, repository, now=datetime.now(UTC), dry_run=False, stages=QUIET)
    time.sleep(0.1)
    before = datetime.now(UTC)
    everything = place.names("")
    for name in everything[::2]:
        place.delete(name)
    for name in everything[1::2]:
        place.replace(name, b"ransom")
    with pytest.raises(PereneError):
        repository.snapshots()
    assert place.rewind(before) == everything
    repository.check("100%")
    assert [one.id for one in sets.on_hand(repository.snapshots())] == [made.id]
    assert place.rewind(before) == [], "a second rewind has nothing to do"


def test_a_write_that_creates_never_writes_over() -> None:
    place = open_place("gs:acme-backups:/below")
    first = os.urandom(3 << 20)
    place.create("once", io.BytesIO(first))
    with pytest.raises(Exists):
        place.create("once", io.BytesIO(b"again"))
    assert place.read("once") == first
    assert place.read("absent") is None

    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 2 << 20:
                raise PereneError("the dump failed")
            return super().read(size)

    with pytest.raises(PereneError, match="the dump failed"):
        place.create("broken", Breaks(first))
    assert place.names("") == ["once"], "a stream that broke off left nothing"


def test_a_bucket_that_is_not_there_is_an_error_with_its_address() -> None:
    with pytest.raises(PereneError, match="GCS answered 404"):
        open_place("gs:nowhere:/").names("")
