"""What a tier keeps in Google Cloud beside its databases: identities of jobs, buckets for backups, the vault, the private network."""

from collections.abc import Mapping
from typing import Any

import pulumi

from infra import lifecycle, naming, permissions
from infra.components.gcp_vault import GcpVault, GcpVaultArgs
from infra.components.gcs_bucket import GcsBackupBucket, GcsBackupBucketArgs
from infra.components.private_network import PrivateNetwork, PrivateNetworkArgs
from infra.components.workload_identity import CLOUD_SQL_LOOK, CLOUD_SQL_ROLES, WorkloadIdentity
from infra.config.model import GcpKey, GcsRepository, GcsSealedCopy
from infra.permissions import Identity
from infra.tier import Context
from infra.tier_cloud_sql import identity, instance_path

Jobs = Mapping[Identity, WorkloadIdentity]


def jobs(context: Context) -> dict[Identity, WorkloadIdentity]:
    """Identities of the jobs and of the exporter, where a cloud knows them. The backup logs in to every instance, the exporter looks."""
    if context.tier.cluster.kind != "gke" or context.tier.backups is None:
        return {}
    instances = tuple(instance_path(context, name, store) for name, store in context.tier.stores.items() if store.kind == "cloud-sql")
    on_instances = {Identity.BACKUP: CLOUD_SQL_ROLES, Identity.EXPORTER: CLOUD_SQL_LOOK}
    return {
        who: identity(context, str(who), f"perene-{who}", instances if who in on_instances else (), on_instances.get(who, {}))
        for who in Identity
        if who is not Identity.SEAL or context.tier.backups.sealed_copy
    }


def repository(context: Context, kept: GcsRepository, who: Jobs) -> dict[str, Any]:
    """Declare the working repository; returns its part of the contract."""
    tier, gcp = context.tier, context.gcp
    made = GcsBackupBucket(
        "repository",
        GcsBackupBucketArgs(
            bucket=kept.adopt or naming.bucket(gcp.project, tier.system, tier.environment, "backups"),
            adopted=kept.adopt is not None,
            project=gcp.project,
            location=kept.location,
            lifecycle=lifecycle.working(int(kept.soft_delete.seconds // 86400)),
            kms_key=kept.kms_key,
            grants={job: rights for job, rights in permissions.WORKING.items() if job in who},
            members={job: account.member for job, account in who.items()},
            labels=context.cloud_labels,
            protect=tier.guarded,
        ),
        opts=context.options(),
    )
    return {"kind": "gcs", "url": f"gs:{made.bucket}:/", "undelete_days": made.args.lifecycle.undelete}


def sealed_copy(context: Context, sealed: GcsSealedCopy, who: Jobs) -> str:
    """Declare the bucket of the sealed copy; returns its address."""
    tier = context.tier
    made = GcsBackupBucket(
        "sealed-copy",
        GcsBackupBucketArgs(
            bucket=naming.bucket(sealed.project, tier.system, tier.environment, "sealed"),
            project=sealed.project,
            location=sealed.location,
            lifecycle=lifecycle.sealed(sealed.lock.days),
            kms_key=None,
            grants=permissions.SEALED,
            members={job: account.member for job, account in who.items()},
            labels=context.cloud_labels,
            protect=tier.guarded,
        ),
        opts=context.options(),
    )
    return f"gs:{made.bucket}:/"


def vault(context: Context, key: GcpKey, who: Jobs, applications: dict[str, str]) -> None:
    """Declare the vault. applications: name -> policy member, who decrypt with the key."""
    tier = context.tier
    readers = {
        named: {str(job): who[job].member for job in permissions.SECRETS[purpose] if job in who}
        | (applications if purpose == "encryption-key" else {})
        for named, purpose in context.vault_purposes.items()
    }
    GcpVault(
        "vault",
        GcpVaultArgs(
            project=context.gcp.project,
            secrets={named: context.vault_id(named) for named in context.vault_purposes},
            adopted=("encryption-key",) if key.adopt else (),
            readers=readers,
            replicas=key.replicas,
            labels=context.cloud_labels,
            protect=tier.guarded and not tier.is_open("key", "delete"),
        ),
        opts=context.options(),
    )


def network(context: Context) -> pulumi.Input[str]:
    """The private network, peered first where that is asked for."""
    chosen = context.gcp.network
    if chosen.kind == "existing":
        return chosen.id
    return PrivateNetwork(
        "network",
        PrivateNetworkArgs(
            project=context.gcp.project,
            network=chosen.id,
            range_name=f"{context.tier.system}-{context.tier.environment}-sql",
            prefix_length=chosen.prefix_length,
            protect=context.tier.guarded,
        ),
        opts=context.options(),
    ).id
