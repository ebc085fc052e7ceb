"""Alerts of a tier's instances in Google Cloud: who is told, and the policies of every instance."""

from functools import partial

from infra.components.channels import Channels, ChannelsArgs
from infra.components.cloud_sql_alerts import CloudSqlAlerts, CloudSqlAlertsArgs
from infra.config.model import Tier
from infra.config.rules_cloud_sql import max_connections
from infra.tier import Context
from infra.tier_cloud_sql import instance_name
from perene.health.signals import Target, slow_pattern
from perene.health.targets import cloud_target


def build(context: Context) -> None:
    """Declare the channels, and the policies of every instance."""
    tier, project = context.tier, context.gcp.project
    if tier.alerts is None:
        return
    channels = Channels(
        "channels",
        ChannelsArgs(
            project=project,
            channels=[(channel.kind, channel.address if channel.kind == "email" else channel.url) for channel in tier.alerts.notify],
            labels=context.cloud_labels,
            protect=tier.guarded,
        ),
        opts=context.options(),
    )
    for name, store in tier.stores.items():
        if store.kind != "cloud-sql":
            continue
        instance = f"{project}:{instance_name(tier, name, store)}"
        CloudSqlAlerts(
            f"{name}-alerts",
            CloudSqlAlertsArgs(
                project=project,
                database_id=instance,
                bind=partial(_target, tier, context.stack, name),
                channels=channels.ids,
                labels={**context.cloud_labels, "store": name},
                protect=tier.guarded,
            ),
            opts=context.options(),
        )


def _target(tier: Tier, stack: str, name: str, database_id: str) -> Target:
    store = tier.stores[name]
    if store.kind != "cloud-sql":
        raise ValueError(f"{name} is no Cloud SQL store")
    return cloud_target(
        stack=stack,
        owner=tier.owner,
        store=name,
        database_id=database_id,
        project=database_id.partition(":")[0],
        slow_pattern=slow_pattern(store.slow_query.milliseconds),
        max_connections=max_connections(store),
        limit_bytes=store.disk.limit.bytes,
        regional=store.availability == "regional",
        replica_id=f"{database_id}-replica" if store.replica else None,
        disk=tier.alerts.disk if tier.alerts else None,
        connections=tier.alerts.connections if tier.alerts else None,
    )
