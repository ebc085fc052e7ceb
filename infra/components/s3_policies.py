"""Policies of backup buckets in S3, from the matrix of rights. Pure: bucket and rights in, IAM policy documents out."""

import json
from collections.abc import Mapping
from typing import Any

from infra.permissions import Right

# Right: (actions on the bucket, actions on its objects, below which prefix).
ACTIONS: dict[Right, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    Right.LOOK: (("s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"), (), ""),
    Right.READ: (("s3:ListBucket", "s3:GetBucketLocation"), ("s3:GetObject",), ""),
    Right.CREATE: ((), ("s3:PutObject", "s3:AbortMultipartUpload"), ""),
    Right.DELETE_LOCKS: ((), ("s3:DeleteObject",), "locks/"),
    Right.DELETE: ((), ("s3:DeleteObject",), ""),
}
# With these, deleted backups could be made to stay deleted. Only the break-glass role keeps them.
IRREVERSIBLE = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
)


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def identity(bucket: str, rights: tuple[Right, ...]) -> str:
    """What an identity may do with a bucket."""
    arn = f"arn:aws:s3:::{bucket}"
    statements: list[dict[str, Any]] = []
    for right in rights:
        on_bucket, on_objects, prefix = ACTIONS[right]
        if on_bucket:
            statements.append({"Effect": "Allow", "Action": list(on_bucket), "Resource": arn})
        if on_objects:
            statements.append({"Effect": "Allow", "Action": list(on_objects), "Resource": f"{arn}/{prefix}*"})
    return _document(statements)


def bucket(name: str, trusted: tuple[str, ...], guests: Mapping[str, tuple[Right, ...]]) -> str:
    """What nobody may do with a bucket: speak to it without TLS, or, but for trusted roles, make a deletion final.

    trusted: ARNs of the break-glass role, and of the role that sets the bucket up; guests: role ARN of another account -> rights.
    """
    arn = f"arn:aws:s3:::{name}"
    everything = [arn, f"{arn}/*"]
    statements: list[dict[str, Any]] = [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": everything,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "NothingIrreversible",
            "Effect": "Deny",
            "Principal": "*",
            "Action": list(IRREVERSIBLE),
            "Resource": everything,
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": list(trusted)}},
        },
    ]
    for role, rights in guests.items():
        for right in rights:
            on_bucket, on_objects, prefix = ACTIONS[right]
            for actions, resource in ((on_bucket, arn), (on_objects, f"{arn}/{prefix}*")):
                if actions:
                    statements.append({"Effect": "Allow", "Principal": {"AWS": role}, "Action": list(actions), "Resource": resource})
    return _document(statements)


def trust(oidc_provider: str, namespace: str, service_account: str) -> str:
    """Who may act as a job's role: its Kubernetes service account, and nothing else."""
    issuer = oidc_provider.partition(":oidc-provider/")[2]
    return _document(
        [
            {
                "Effect": "Allow",
                "Principal": {"Federated": oidc_provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
                        f"{issuer}:aud": "sts.amazonaws.com",
                    }
                },
            }
        ]
    )
