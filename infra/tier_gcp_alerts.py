"""Alerts of a tier in Google Cloud: who is told, and the policies of everything that Cloud Monitoring and Cloud Logging see of it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from infra import naming, permissions
from infra.components.channels import Channels, ChannelsArgs
from infra.components.cloud_sql_alerts import CloudSqlAlerts, CloudSqlAlertsArgs
from infra.components.workload_identity import WorkloadIdentity
from infra.config.rules_cloud_sql import max_connections
from infra.permissions import Identity
from infra.tier import Context
from infra.tier_cloud_sql import instance_name
from perene.health.signals import Target, slow_pattern
from perene.health.targets import cloud_target, key_target, sealed_bucket_target, settings_of, targets_of

Bind = Callable[[str], Target]


def build(context: Context, document: Mapping[str, Any], jobs: Mapping[Identity, WorkloadIdentity]) -> None:
    """Declare the channels, and the policies of every instance, of the key and the sealed copy, and of what Google collects in the cluster.

    document: the tier document.
    """
    tier, project = context.tier, context.gcp.project
    if tier.alerts is None:
        return
    channels = _channels(context, "channels", project)
    for name, store in tier.stores.items():
        if store.kind == "cloud-sql":
            instance = f"{project}:{instance_name(tier, name, store)}"
            _policies(context, f"{name}-alerts", partial(_instance, context, document, name), channels, instance)
    if context.collector == "google":
        for target in targets_of(document):
            _policies(context, f"{target.store or f'perene-{target.kind}'}-alerts", _always(target), channels)
    if tier.encryption_key and tier.encryption_key.kind == "gcp-secret-manager":
        target = key_target(
            stack=context.stack,
            owner=tier.owner,
            project=project,
            secret=context.vault_id("encryption-key"),
            readers=sorted(_key_readers(document, jobs)),
        )
        _policies(context, "perene-key-alerts", _always(target), channels)
    sealed = tier.backups.sealed_copy if tier.backups else None
    if sealed and sealed.kind == "gcs":
        bucket = naming.bucket(sealed.project, tier.system, tier.environment, "sealed")
        target = sealed_bucket_target(stack=context.stack, owner=tier.owner, project=sealed.project, bucket=bucket)
        # The bucket's log is in its own project, where nobody of this one could silence the alert.
        told = _channels(context, "sealed-copy-channels", sealed.project)
        _policies(context, "perene-sealed-bucket-alerts", _always(target), told)


def _channels(context: Context, name: str, project: str) -> Channels:
    notify = context.tier.alerts.notify if context.tier.alerts else ()
    args = ChannelsArgs(
        project=project,
        channels=[(channel.kind, channel.address if channel.kind == "email" else channel.url) for channel in notify],
        labels=context.cloud_labels,
        protect=context.tier.guarded,
    )
    return Channels(name, args, opts=context.options())


def _policies(context: Context, name: str, bind: Bind, channels: Channels, database_id: str = "") -> None:
    CloudSqlAlerts(
        name,
        CloudSqlAlertsArgs(
            project=channels.args.project,
            database_id=database_id,
            bind=bind,
            channels=channels.ids,
            labels={**context.cloud_labels, "store": name.removesuffix("-alerts")},
            protect=context.tier.guarded,
        ),
        opts=context.options(),
    )


def _always(target: Target) -> Bind:
    return lambda _: target


def _key_readers(document: Mapping[str, Any], jobs: Mapping[Identity, WorkloadIdentity]) -> set[str]:
    """Whom the vault lets read the key: the jobs that need it, and the identities that write what it encrypts."""
    readers = {jobs[job].email for job in permissions.SECRETS["encryption-key"] if job in jobs}
    for store in document["stores"].values():
        principals = (store["logins"][user].get("principal") for user, right in store["rights"].items() if right == "read-write")
        readers |= {principal for principal in principals if principal}
    return readers


def _instance(context: Context, document: Mapping[str, Any], name: str, database_id: str) -> Target:
    store = context.tier.stores[name]
    if store.kind != "cloud-sql":
        raise ValueError(f"{name} is no Cloud SQL store")
    return cloud_target(
        stack=context.stack,
        owner=context.tier.owner,
        store=name,
        database_id=database_id,
        project=database_id.partition(":")[0],
        slow_pattern=slow_pattern(store.slow_query.milliseconds),
        max_connections=max_connections(store),
        limit_bytes=store.disk.limit.bytes,
        regional=store.availability == "regional",
        replica_id=f"{database_id}-replica" if store.replica else None,
        settings=settings_of(document, name),
        backed_up=context.tier.backups is not None,
    )
