"""A backup bucket in AWS S3: a working repository or a sealed copy.

Owns: the bucket, its versions, lock, lifecycle, encryption and policy. Deliberately does not own: the roles that use it, and any
object. The parts hang on each other: versioning before lock and lifecycle, the public access block before the policy.

Produces the following resources:
    s3.Bucket <name>-bucket, and its parts <name>-versions, -public-access, -ownership, -encryption, -lock, -lifecycle, -policy
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import s3

from infra import guards
from infra.components import s3_policies
from infra.lifecycle import Lifecycle
from infra.permissions import Right


@dataclass(frozen=True, kw_only=True)
class S3BackupBucketArgs:
    """trusted: ARNs that may make a deletion final; guests: role ARNs of another account -> rights."""

    bucket: str
    region: str
    lifecycle: Lifecycle
    kms_key: str | None
    trusted: tuple[str, ...]
    guests: Mapping[str, tuple[Right, ...]]
    labels: Mapping[str, str]
    protect: bool


class S3BackupBucket(pulumi.ComponentResource):
    """A bucket for backups. args: what it was made from; bucket: its name."""

    bucket: str

    def __init__(self, name: str, args: S3BackupBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:aws:S3BackupBucket", name, None, opts)
        self.args, self.bucket = args, args.bucket
        life = args.lifecycle
        made = s3.Bucket(
            f"{name}-bucket",
            bucket=args.bucket,
            region=args.region,
            force_destroy=False,
            object_lock_enabled=life.lock is not None,
            tags=dict(args.labels),
            opts=guards.within(self, protect=args.protect),
        )
        part = guards.within(self, protect=args.protect, depends_on=[made])
        versions = s3.BucketVersioning(
            f"{name}-versions",
            bucket=args.bucket,
            region=args.region,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=part,
        )
        closed = s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=args.bucket,
            region=args.region,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            # Taking this resource away must not open the bucket.
            skip_destroy=True,
            opts=part,
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=args.bucket,
            region=args.region,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=part,
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=args.bucket,
            region=args.region,
            rules=[_encryption(args.kms_key)],
            opts=part,
        )
        versioned = guards.within(self, protect=args.protect, depends_on=[versions])
        if life.lock is not None:
            s3.BucketObjectLockConfiguration(
                f"{name}-lock",
                bucket=args.bucket,
                region=args.region,
                rule=s3.BucketObjectLockConfigurationRuleArgs(
                    default_retention=s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(mode="COMPLIANCE", days=life.lock)
                ),
                opts=versioned,
            )
        s3.BucketLifecycleConfiguration(f"{name}-lifecycle", bucket=args.bucket, region=args.region, rules=_rules(life), opts=versioned)
        s3.BucketPolicy(
            f"{name}-policy",
            bucket=args.bucket,
            region=args.region,
            policy=s3_policies.bucket(args.bucket, args.trusted, args.guests),
            opts=guards.within(self, protect=args.protect, depends_on=[closed]),
        )
        self.register_outputs({"bucket": args.bucket})


def _encryption(kms_key: str | None) -> s3.BucketServerSideEncryptionConfigurationRuleArgs:
    return s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms" if kms_key else "AES256", kms_master_key_id=kms_key
        ),
        bucket_key_enabled=kms_key is not None,
    )


def _rules(life: Lifecycle) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    everything = s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    rules = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="unfinished-uploads",
            status="Enabled",
            filter=everything,
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=life.abort_uploads
            ),
        ),
        s3.BucketLifecycleConfigurationRuleArgs(
            id="deleted-versions",
            status="Enabled",
            filter=everything,
            noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(noncurrent_days=life.undelete),
        ),
    ]
    if life.expire is not None:
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="past-its-lock",
                status="Enabled",
                filter=everything,
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=life.expire),
            )
        )
    return rules
