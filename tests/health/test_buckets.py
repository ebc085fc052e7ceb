"""Whether the backup buckets keep what the program declared: S3 as moto plays it, Cloud Storage by a double of its bucket resource."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from perene.backup.places import open_place
from perene.errors import PereneError
from perene.health.exporter import Exporter, promises_of
from tests.doubles.storage import Storage, serve
from tests.health.cluster import NAMESPACE, FakeApi, tier

S3 = "s3:https://s3.us-east-1.amazonaws.com"
DAY = 86400


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield boto3.client("s3")


def bucket(s3: Any, name: str, *, lock: dict[str, Any] | None = None, noncurrent: int | None = None, versions: str = "Enabled") -> str:
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock is not None)
    if lock:
        rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": lock}}
        s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=rule)
    else:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versions})
    if noncurrent:
        ends = {"ID": "n", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": noncurrent}}
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [ends]})
    return f"{S3}/{name}"


def test_s3_promises_what_its_versions_rules_and_lock_say(s3: Any) -> None:
    def promised(name: str, **how: Any) -> tuple[int, int]:
        return open_place(bucket(s3, name, **how)).promises()

    assert promised("working", noncurrent=30) == (30, 0)
    assert promised("suspended", noncurrent=30, versions="Suspended") == (0, 0), "nothing comes back"
    assert promised("endless")[0] > 3650, "without a rule versions stay"
    assert promised("sealed", lock={"Mode": "COMPLIANCE", "Days": 35})[1] == 35
    assert promised("loose", lock={"Mode": "GOVERNANCE", "Days": 35})[1] == 0, "who may bypass it may delete"


@pytest.mark.parametrize(
    ("settings", "promised"),
    [
        ({"softDeletePolicy": {"retentionDurationSeconds": str(30 * DAY)}}, (30, 0)),
        ({"retentionPolicy": {"retentionPeriod": str(35 * DAY), "isLocked": True}}, (0, 35)),
        ({"retentionPolicy": {"retentionPeriod": str(35 * DAY)}}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_cloud_storage_promises_what_cannot_be_taken_off(
    settings: dict[str, Any], promised: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Storage(sealed=settings)) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        assert open_place("gs:sealed:/").promises() == promised


@pytest.mark.parametrize(
    ("repository", "sealed", "as_declared"),
    [((30, 0), (7, 35), {"repository": 1, "sealed-copy": 1}), ((29, 0), (7, 34), {"repository": 0, "sealed-copy": 0})],
)
def test_less_than_declared_is_shown_and_the_signal_asks_for_it(
    repository: tuple[int, int], sealed: tuple[int, int], as_declared: dict[str, int]
) -> None:
    where = {"vault": "aws", "scope": "x", "name": "y"}
    urls = {"url": f"{S3}/working", "sealed_copy": f"{S3}/sealed", "undelete_days": 30, "lock_days": 35}
    document = tier(repository={"kind": "s3", "password": where, **urls})
    answers = {f"{S3}/working": repository, f"{S3}/sealed": sealed}
    found = {dict(one.labels)["bucket"]: one.value for one in promises_of(document, answers.__getitem__)}
    assert found == as_declared


def test_settings_that_cannot_be_read_are_silence_that_pages() -> None:
    def refuse(_: object) -> Any:
        raise PereneError("403")

    exporter = Exporter(api=FakeApi(), namespace=NAMESPACE, evidence=lambda _: (_ for _ in ()).throw(PereneError("x")), promises=refuse)
    assert "buckets" in exporter.gather(), "the round is not whole, and exporter-silent pages on that"
