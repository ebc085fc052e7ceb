"""Each operation leaves two lines, beside the repository wherever that is; no place lets one be written over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from perene.audit.chain import Chain, heads, lines, verify
from perene.audit.operation import audited, record
from perene.audit.store import AlreadyExistsError, open_store
from perene.backup.places import open_place
from perene.cli.audit import app
from perene.contract.tier import TierDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.audit.test_chain import Memory
from tests.doubles.storage import Storage, serve
from tests.health.cluster import tier


def results(store: Memory) -> list[str]:
    return [line.result for line in lines(store)]


def test_a_good_operation_is_begun_and_done_with_what_it_found() -> None:
    store = Memory()
    with audited(Chain(store, "operator"), "backup", stack="s-dev", subject="all stores") as found:
        assert results(store) == ["begun"], "the first line is there before anything is touched"
        found["set"] = "20261124T010000Z-1a2b3c"
    assert results(store) == ["begun", "done"]
    assert lines(store)[-1].details == {"set": "20261124T010000Z-1a2b3c"}


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (RuntimeError("password hunter2"), "failed"),
        (KeyboardInterrupt(), "failed"),
        (PereneError("guarded", exit_code=ExitCode.CANNOT_TELL), "refused"),
    ],
)
def test_a_failure_is_a_line_too_and_never_tells_a_value(error: BaseException, result: str) -> None:
    store = Memory()
    with pytest.raises(type(error)), audited(Chain(store, "operator"), "restore", stack="s-dev", subject="main"):
        raise error
    assert results(store) == ["begun", result]
    assert "hunter2" not in "".join(content.decode() for content in store.objects.values())


def test_an_operation_whose_first_line_cannot_be_written_does_not_begin() -> None:
    class Full(Memory):
        def create(self, name: str, content: bytes) -> None:
            raise PereneError("disk full")

    touched = []
    with pytest.raises(PereneError), audited(Chain(Full(), "operator"), "restore", stack="s-dev", subject="main"):
        touched.append("data")
    assert touched == []


@pytest.fixture(params=["directory", "s3", "gcs"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A repository's address, of every kind."""
    if request.param == "directory":
        yield str(tmp_path)
        return
    if request.param == "s3":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with mock_aws():
            boto3.client("s3").create_bucket(Bucket="repository")
            yield "s3:https://s3.us-east-1.amazonaws.com/repository/lux"
        return
    with serve(Storage(repository={})) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield "gs:repository:/lux"


def test_a_chain_is_whole_wherever_it_lies_and_nothing_is_written_over(url: str) -> None:
    store = open_store(url)
    for number in range(3):
        Chain(store, "perene-backup").append("backup", stack="s-dev", subject=str(number), result="done")
    assert verify(store, heads(store)) == []
    with pytest.raises(AlreadyExistsError):
        store.create("audit/perene-backup/00000002.json", b"forged")
    open_place(url).delete("audit/perene-backup/00000002.json")
    assert {finding.kind for finding in verify(store)} == {"removed"}


@mock_aws
def test_a_bucket_that_is_not_there_is_an_error_and_not_an_empty_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(PereneError, match="NoSuchBucket") as refused:
        verify(open_store("s3:https://s3.us-east-1.amazonaws.com/gone"))
    assert refused.value.exit_code == ExitCode.CANNOT_TELL


def bucket_tier(**changes: Any) -> TierDocument:
    where = {"kind": "s3", "url": "s3:https://s3.us-east-1.amazonaws.com/gone", "password": {"vault": "aws", "scope": "x", "name": "y"}}
    return tier(repository=where | changes)


@mock_aws
def test_what_cannot_be_recorded_does_not_happen_but_for_what_comes_before_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    (tmp_path / "Pulumi.yaml").touch()
    monkeypatch.chdir(tmp_path)
    done = []
    with pytest.raises(PereneError, match="NoSuchBucket"), record("restore", bucket_tier()):
        done.append("restore")
    with record("apply", bucket_tier(), first=True):
        done.append("apply")
    assert done == ["apply"]
    own = open_store(str(tmp_path / ".perene"))
    assert [(line.operation, line.result) for line in lines(own)] == [("apply", "begun"), ("apply", "done")]


def test_a_volume_that_is_mounted_here_keeps_the_audit_and_the_job_its_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENE_WRITER", "perene-backup")
    document = bucket_tier(kind="volume", url=str(tmp_path))
    for host in ("perene-backup-1-x", "perene-backup-2-y"):
        monkeypatch.setattr("socket.gethostname", lambda name=host: name)
        with record("backup", document) as found:
            found["set"] = host
    (head,) = heads(open_store(str(tmp_path)))
    assert (head.writer, head.sequence) == ("perene-backup", 4), "however its pods are called"


def test_an_audit_on_a_volume_of_the_cluster_is_not_mistaken_for_this_computers_own(tmp_path: Path) -> None:
    file = tmp_path / "tier.json"
    file.write_text(bucket_tier(kind="volume", url="/repository-that-is-not-here").to_json())
    with pytest.raises(PereneError, match="exec deployment/perene-exporter -- perene audit show /repository-that-is-not-here"):
        CliRunner().invoke(app, ["verify", f"--tier={file}"], catch_exceptions=False)
