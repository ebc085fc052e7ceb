"""Each operation leaves two lines; S3 itself refuses to overwrite one."""

import boto3
import pytest
from moto import mock_aws

from perene.audit.chain import Chain, heads, lines, verify
from perene.audit.operation import audited
from perene.audit.s3 import S3Store
from perene.audit.store import AlreadyExistsError
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.audit.test_chain import Memory


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


@mock_aws
def test_a_chain_in_a_bucket_is_whole_and_the_service_refuses_to_overwrite() -> None:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    client.create_bucket(Bucket="repository")
    store = S3Store(client, "repository", "lux")
    for number in range(3):
        Chain(store, "perene-backup").append("backup", stack="s-dev", subject=str(number), result="done")
    assert verify(store, heads(store)) == []
    with pytest.raises(AlreadyExistsError):
        store.create("audit/perene-backup/00000002.json", b"forged")
    client.delete_object(Bucket="repository", Key="lux/audit/perene-backup/00000002.json")
    assert {finding.kind for finding in verify(store)} == {"removed"}


@mock_aws
def test_a_bucket_that_is_not_there_is_an_error_and_not_an_empty_audit() -> None:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with pytest.raises(PereneError, match="NoSuchBucket"):
        verify(S3Store(client, "gone"))
