"""A backup bucket in Google Cloud Storage: a working repository or a sealed copy.

Owns: the bucket and who may do what with its objects. Deliberately does not own: the identities, and any object.

Produces the following resources:
    storage.Bucket <name>-bucket, storage.BucketIAMMember <name>-<identity>-<right>
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_gcp import storage

from infra import guards
from infra.lifecycle import Lifecycle
from infra.permissions import Identity, Right

DAY = 86400
# legacyBucketReader is the narrowest role for one bucket that shows its settings; it lists names too, and reads none.
# objectUser is the narrowest predefined role with delete; with a condition it deletes under locks/ only.
ROLES: dict[Right, str] = {
    Right.LOOK: "roles/storage.legacyBucketReader",
    Right.READ: "roles/storage.objectViewer",
    Right.CREATE: "roles/storage.objectCreator",
    Right.DELETE_LOCKS: "roles/storage.objectUser",
    Right.DELETE: "roles/storage.objectUser",
}


@dataclass(frozen=True, kw_only=True)
class GcsBackupBucketArgs:
    """grants: identity -> rights; members: identity -> how a policy names it (`serviceAccount:...`)."""

    bucket: str
    project: str
    location: str
    lifecycle: Lifecycle
    kms_key: str | None
    grants: Mapping[Identity, tuple[Right, ...]]
    members: Mapping[Identity, str]
    labels: Mapping[str, str]
    protect: bool
    adopted: bool = False


class GcsBackupBucket(pulumi.ComponentResource):
    """A bucket for backups. args: what it was made from; bucket: its name."""

    bucket: str

    def __init__(self, name: str, args: GcsBackupBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:GcsBackupBucket", name, None, opts)
        self.args, self.bucket = args, args.bucket
        life = args.lifecycle
        made = storage.Bucket(
            f"{name}-bucket",
            name=args.bucket,
            project=args.project,
            location=args.location.upper(),
            storage_class="STANDARD",
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=False,
            soft_delete_policy=storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=life.undelete * DAY),
            retention_policy=storage.BucketRetentionPolicyArgs(retention_period=str(life.lock * DAY), is_locked=True)
            if life.lock
            else None,
            encryption=storage.BucketEncryptionArgs(default_kms_key_name=args.kms_key) if args.kms_key else None,
            lifecycle_rules=_rules(life),
            labels=dict(args.labels),
            opts=guards.within(self, protect=args.protect, import_id=args.bucket if args.adopted else None),
        )
        for identity, rights in args.grants.items():
            for right in rights:
                storage.BucketIAMMember(
                    f"{name}-{identity}-{right}",
                    bucket=made.name,
                    role=ROLES[right],
                    member=args.members[identity],
                    condition=_only_locks(args.bucket) if right is Right.DELETE_LOCKS else None,
                    opts=guards.within(self, protect=args.protect, deleted_with=made),
                )
        self.register_outputs({"bucket": args.bucket})


def _rules(life: Lifecycle) -> list[storage.BucketLifecycleRuleArgs]:
    rules = [("AbortIncompleteMultipartUpload", life.abort_uploads)]
    if life.expire is not None:
        rules.append(("Delete", life.expire))
    return [
        storage.BucketLifecycleRuleArgs(
            action=storage.BucketLifecycleRuleActionArgs(type=action), condition=storage.BucketLifecycleRuleConditionArgs(age=age)
        )
        for action, age in rules
    ]


def _only_locks(bucket: str) -> storage.BucketIAMMemberConditionArgs:
    return storage.BucketIAMMemberConditionArgs(
        title="restic's own locks only", expression=f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/locks/")'
    )
