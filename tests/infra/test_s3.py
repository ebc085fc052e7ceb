"""What the AWS components declare, applied to an S3 that enforces IAM (moto), and what then really is refused.

A double: moto answers on loopback in place of AWS. It enforces identity policies and Object Lock; it does not evaluate a bucket
policy's conditions on the calling role, so those are checked as text.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pulumi
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count
from moto.core.decorator import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID

from infra import tiers
from infra.config.load import load, read_stack_file
from perene.engine.monitor import run_program
from perene.engine.program import Program

ROOT = Path(__file__).parents[2]
REGION = "sa-east-1"


@pytest.fixture(scope="module")
def declared() -> Program:
    """A prod tier wholly on AWS."""
    tier = copy.deepcopy(read_stack_file(ROOT / "Pulumi.prod.yaml")[0])
    tier["stores"] = copy.deepcopy(read_stack_file(ROOT / "Pulumi.dev.yaml")[0]["stores"])
    tier["stores"]["main"]["migrations"]["mode"] = "approved"
    tier["cluster"] = {"kind": "kubernetes", "context": "eks", "namespace": "n", "storageClass": "gp3-retain"}
    tier["clouds"] = {
        "aws": {
            "account": DEFAULT_ACCOUNT_ID,
            "region": REGION,
            "oidcProvider": f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:oidc-provider/oidc.example/id/A",
            "breakGlass": f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/break-glass",
        }
    }
    tier["goals"] = {"rpo": "24h", "rto": "4h"}
    tier["backups"] |= {
        "repository": {"kind": "s3", "region": REGION, "noncurrentDays": 30},
        "sealedCopy": {
            "kind": "s3",
            "account": "210987654321",
            "region": "us-east-1",
            "role": "arn:aws:iam::210987654321:role/setup",
            "every": "7d",
            "lock": {"days": 35, "irreversible": True},
        },
        "drill": {"every": "1d"},
    }
    tier["encryptionKey"] = {"kind": "aws-secrets-manager", "replicas": ["us-east-1"]}
    parsed = load(tier, where="aws", stack="prod")
    return run_program(lambda: pulumi.export("tier", tiers.build(parsed, "prod")), project="perene", stack="prod", config={}, root=ROOT)


def of(declared: Program, kind: str, part: str) -> dict[str, Any]:
    return next(dict(r.inputs) for r in declared.resources if r.type.startswith(f"aws:{kind}") and r.name.startswith(part))


class Applied:
    """The declared buckets and identities, applied through boto3 exactly as recorded."""

    def __init__(self, declared: Program) -> None:
        self.s3 = boto3.client("s3", region_name=REGION)
        self.iam = boto3.client("iam", region_name=REGION)
        self.declared = declared
        self.buckets = {part: self._bucket(part) for part in ("repository", "sealed-copy")}
        self.keys = {identity: self._identity(identity) for identity in ("backup", "retention", "drill", "seal")}

    def _bucket(self, part: str) -> str:
        bucket = of(self.declared, "s3/bucket:Bucket", part)
        name = bucket["bucket"]
        self.s3.create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=bool(bucket.get("objectLockEnabled")),
        )
        versions = of(self.declared, "s3/bucketVersioning", part)["versioningConfiguration"]
        self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versions["status"]})
        closed = of(self.declared, "s3/bucketPublicAccessBlock", part)
        switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        self.s3.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration={switch[0].upper() + switch[1:]: closed[switch] for switch in switches}
        )
        if part == "sealed-copy":
            lock = of(self.declared, "s3/bucketObjectLockConfiguration", part)["rule"]["defaultRetention"]
            self.s3.put_object_lock_configuration(
                Bucket=name,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": lock["mode"], "Days": int(lock["days"])}},
                },
            )
        return str(name)

    def _identity(self, identity: str) -> dict[str, str]:
        user = f"as-{identity}"
        self.iam.create_user(UserName=user)
        for resource in self.declared.resources:
            if resource.type == "aws:iam/rolePolicy:RolePolicy" and resource.name.startswith(f"perene-{identity}-"):
                self.iam.put_user_policy(UserName=user, PolicyName=resource.name, PolicyDocument=resource.inputs["policy"])
        key = self.iam.create_access_key(UserName=user)["AccessKey"]
        return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def as_identity(self, identity: str) -> Any:
        return boto3.client("s3", region_name=REGION, config=Config(retries={"max_attempts": 1}), **self.keys[identity])


@pytest.fixture(scope="module")
def service(declared: Program) -> Iterator[Applied]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield Applied(declared)


@pytest.fixture
def applied(service: Applied) -> Applied:
    """The service with a pack and a lock object in each bucket."""
    for bucket in service.buckets.values():
        for key in ("data/pack", "locks/one"):
            service.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    return service


# identity, part, action, key, allowed. From infra.permissions, as S3 answers.
CASES = [
    ("backup", "repository", "get", "data/pack", True),
    ("backup", "repository", "put", "data/new", True),
    ("backup", "repository", "delete", "data/pack", False),
    ("backup", "repository", "delete", "locks/one", True),
    ("backup", "sealed-copy", "get", "data/pack", False),
    ("retention", "repository", "delete", "data/pack", True),
    ("retention", "sealed-copy", "delete", "data/pack", False),
    ("drill", "repository", "get", "data/pack", True),
    ("drill", "sealed-copy", "get", "data/pack", True),
    ("drill", "sealed-copy", "put", "data/new", False),
    ("seal", "sealed-copy", "put", "data/new", True),
    ("seal", "sealed-copy", "get", "data/pack", False),
    ("seal", "sealed-copy", "delete", "data/pack", False),
]


def attempt(client: Any, action: str, bucket: str, key: str) -> bool:
    calls = {
        "get": lambda: client.get_object(Bucket=bucket, Key=key),
        "put": lambda: client.put_object(Bucket=bucket, Key=key, Body=b"y"),
        "delete": lambda: client.delete_object(Bucket=bucket, Key=key),
    }
    try:
        calls[action]()
    except ClientError as refused:
        if refused.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_an_identity_can_do_what_the_matrix_says_and_no_more(applied: Applied, case: tuple[str, str, str, str, bool]) -> None:

    identity, part, action, key, allowed = case
    client = applied.as_identity(identity)

    @set_initial_no_auth_action_count(0)
    def authorised() -> bool:
        return attempt(client, action, applied.buckets[part], key)

    assert authorised() is allowed


def test_a_locked_version_cannot_be_deleted_or_its_lock_shortened(applied: Applied) -> None:
    bucket = applied.buckets["sealed-copy"]
    version = applied.s3.put_object(Bucket=bucket, Key="set", Body=b"sealed")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        applied.s3.delete_object(Bucket=bucket, Key="set", VersionId=version)
    with pytest.raises(ClientError, match="AccessDenied"):
        applied.s3.delete_object(Bucket=bucket, Key="set", VersionId=version, BypassGovernanceRetention=True)
    applied.s3.delete_object(Bucket=bucket, Key="set")
    assert applied.s3.get_object(Bucket=bucket, Key="set", VersionId=version)["Body"].read() == b"sealed", "a delete only hides"


def test_an_overwritten_object_can_be_brought_back(applied: Applied) -> None:
    bucket = applied.buckets["repository"]
    first = applied.s3.put_object(Bucket=bucket, Key="data/p", Body=b"good")["VersionId"]
    applied.s3.put_object(Bucket=bucket, Key="data/p", Body=b"evil")
    assert applied.s3.get_object(Bucket=bucket, Key="data/p", VersionId=first)["Body"].read() == b"good"


@pytest.mark.parametrize("part", ["repository", "sealed-copy"])
def test_public_access_is_blocked_on_all_four_switches(applied: Applied, part: str) -> None:
    shut = applied.s3.get_public_access_block(Bucket=applied.buckets[part])["PublicAccessBlockConfiguration"]
    assert shut == {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


@pytest.mark.parametrize("part", ["repository", "sealed-copy"])
def test_the_bucket_policy_demands_tls_and_keeps_deletion_reversible(declared: Program, part: str) -> None:
    policy = json.loads(of(declared, "s3/bucketPolicy", part)["policy"])
    denied = {statement["Sid"]: statement for statement in policy["Statement"] if statement["Effect"] == "Deny"}
    assert denied["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    kept = denied["NothingIrreversible"]
    assert {"s3:DeleteObjectVersion", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:BypassGovernanceRetention"} <= set(
        kept["Action"]
    )
    assert len(kept["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]) == 1, "one role breaks glass"


@pytest.mark.parametrize("part", ["repository", "sealed-copy"])
def test_nothing_expires_inside_its_lock_and_no_repository_by_age(declared: Program, part: str) -> None:
    rules = of(declared, "s3/bucketLifecycleConfiguration", part)["rules"]
    expiries = [rule["expiration"]["days"] for rule in rules if "expiration" in rule]
    assert expiries == ([] if part == "repository" else [42]), "35 days of lock, and a week"
    assert any("abortIncompleteMultipartUpload" in rule for rule in rules)


def test_a_secret_cannot_be_deleted_but_by_the_break_glass_role(declared: Program) -> None:
    policy = json.loads(of(declared, "secretsmanager/secretPolicy", "vault-encryption-key")["policy"])
    assert policy["Statement"][0]["Effect"] == "Deny"
    assert "secretsmanager:DeleteSecret" in policy["Statement"][0]["Action"]
    assert of(declared, "secretsmanager/secret:Secret", "vault-encryption-key")["recoveryWindowInDays"] == 30
