"""What a tier keeps in AWS: identities of jobs, buckets for backups, the vault."""

from typing import Any

import pulumi

from infra import lifecycle, naming, permissions, providers
from infra.components.aws_identity import AwsIdentity, AwsIdentityArgs
from infra.components.aws_vault import AwsVault, AwsVaultArgs
from infra.components.s3_bucket import S3BackupBucket, S3BackupBucketArgs
from infra.config.model import AwsKey, S3Repository, S3SealedCopy
from infra.permissions import Identity, Right
from infra.tier import Context


def _bucket(context: Context, account: str, purpose: str) -> str:
    return naming.bucket(account, context.tier.system, context.tier.environment, purpose)


def role_arn(context: Context, identity: Identity) -> str:
    """The role of a job."""
    return f"arn:aws:iam::{context.aws.account}:role/{_role(context, identity)}"


def _role(context: Context, identity: Identity) -> str:
    return naming.short(f"{context.tier.system}-{context.tier.environment}-{identity}", 64)


def identities(context: Context) -> frozenset[Identity]:
    """Declare the jobs' identities with their rights on the repository and the sealed copy; which there are."""
    tier, aws, backups = context.tier, context.aws, context.tier.backups
    if backups is None:
        return frozenset()
    matrix: dict[str, tuple[str, dict[Identity, tuple[Right, ...]]]] = {}
    if backups.repository.kind == "s3":
        matrix["repository"] = (_bucket(context, aws.account, "backups"), permissions.WORKING)
    if backups.sealed_copy and backups.sealed_copy.kind == "s3":
        matrix["sealed-copy"] = (_bucket(context, backups.sealed_copy.account, "sealed"), permissions.SEALED)
    made = set()
    for identity in Identity:
        grants = {part: (bucket, rights[identity]) for part, (bucket, rights) in matrix.items() if identity in rights}
        if grants:
            made.add(identity)
            AwsIdentity(
                f"perene-{identity}",
                AwsIdentityArgs(
                    account=aws.account,
                    role=_role(context, identity),
                    oidc_provider=aws.oidc_provider,
                    namespace=context.namespace,
                    service_account=f"perene-{identity}",
                    grants=grants,
                    labels=context.labels,
                    cloud_labels=context.cloud_labels,
                    protect=tier.guarded,
                ),
                opts=context.options(),
            )
    return frozenset(made)


def repository(context: Context, kept: S3Repository) -> dict[str, Any]:
    """Declare the working repository; returns its part of the contract."""
    made = S3BackupBucket(
        "repository",
        S3BackupBucketArgs(
            bucket=_bucket(context, context.aws.account, "backups"),
            region=kept.region,
            lifecycle=lifecycle.working(kept.noncurrent_days),
            kms_key=kept.kms_key,
            trusted=(context.aws.break_glass,),
            guests={},
            labels=context.cloud_labels,
            protect=context.tier.guarded,
        ),
        opts=context.options(),
    )
    url = f"s3:https://s3.{kept.region}.amazonaws.com/{made.bucket}"
    return {"kind": "s3", "url": url, "undelete_days": made.args.lifecycle.undelete}


def sealed_copy(context: Context, sealed: S3SealedCopy) -> str:
    """Declare the bucket of the sealed copy, in the other account; returns its address."""
    vault = providers.sealed_account(sealed.account, sealed.region, sealed.role, protect=context.tier.guarded)
    made = S3BackupBucket(
        "sealed-copy",
        S3BackupBucketArgs(
            bucket=_bucket(context, sealed.account, "sealed"),
            region=sealed.region,
            lifecycle=lifecycle.sealed(sealed.lock.days),
            kms_key=None,
            trusted=(sealed.role,),
            guests={role_arn(context, identity): rights for identity, rights in permissions.SEALED.items()},
            labels=context.cloud_labels,
            protect=context.tier.guarded,
        ),
        opts=pulumi.ResourceOptions.merge(context.options(), pulumi.ResourceOptions(providers=[vault])),
    )
    return f"s3:https://s3.{sealed.region}.amazonaws.com/{made.bucket}"


def vault(context: Context, key: AwsKey) -> None:
    """Declare the vault."""
    tier = context.tier
    AwsVault(
        "vault",
        AwsVaultArgs(
            region=context.aws.region,
            secrets={named: naming.secret_id(tier.system, tier.environment, named) for named in context.vault_purposes},
            readers={
                named: tuple(role_arn(context, job) for job in permissions.SECRETS[purpose])
                for named, purpose in context.vault_purposes.items()
            },
            trusted=(context.aws.break_glass,),
            replicas=key.replicas,
            recovery_window=key.recovery_window,
            labels=context.cloud_labels,
            protect=tier.guarded and not tier.is_open("key", "delete"),
        ),
        opts=context.options(),
    )
