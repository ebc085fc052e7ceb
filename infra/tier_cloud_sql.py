"""A `kind: cloud-sql` store: from its configuration to identities, instance, roles, and its contract entry."""

from collections.abc import Mapping
from typing import Any

import pulumi

from infra import naming, tier_migrations
from infra.components.cloud_sql import CloudSqlPostgres, CloudSqlPostgresArgs
from infra.components.cloud_sql_roles import CloudSqlRoles, CloudSqlRolesArgs
from infra.components.postgres_roles import Role
from infra.components.workload_identity import CLOUD_SQL_ROLES, WorkloadIdentity, WorkloadIdentityArgs
from infra.config.model import Tier
from infra.config.rules_cloud_sql import max_connections
from infra.config.stores import CloudSql
from infra.permissions import Identity
from infra.tier import Context

GB = 10**9


def instance_name(tier: Tier, name: str, store: CloudSql) -> str:
    """The instance's physical name: fixed, or the adopted one's."""
    return store.adopt.instance if store.adopt else naming.instance(tier.system, tier.environment, name, store.generation)


def instance_path(context: Context, name: str, store: CloudSql) -> str:
    """`projects/P/instances/I`, as conditions of policies name it."""
    return f"projects/{context.gcp.project}/instances/{instance_name(context.tier, name, store)}"


def identity(
    context: Context,
    purpose: str,
    service_account: str,
    instances: tuple[str, ...],
    roles: Mapping[str, str] = CLOUD_SQL_ROLES,
    *,
    takes_backups: bool = False,
) -> WorkloadIdentity:
    """An identity that a Kubernetes service account acts as. roles: on the instances."""
    tier, cluster = context.tier, context.tier.cluster
    if cluster.kind != "gke":
        raise ValueError("cluster.kind is not gke, which the configuration's rules should have found")
    return WorkloadIdentity(
        service_account,
        WorkloadIdentityArgs(
            project=context.gcp.project,
            account_id=naming.service_account_id(tier.system, tier.environment, purpose),
            purpose=f"{tier.system} {tier.environment}: {purpose}",
            workload_pool=cluster.workload_pool,
            namespace=context.namespace,
            service_account=service_account,
            labels=context.labels,
            instances=instances,
            roles=roles,
            protect=tier.guarded,
            takes_backups=takes_backups,
        ),
        opts=context.options(),
    )


def build(
    context: Context, name: str, store: CloudSql, network: pulumi.Input[str], jobs: Mapping[Identity, WorkloadIdentity]
) -> dict[str, Any]:
    """Declare the store; returns its contract entry.

    jobs: identities of the tier's jobs; the one that backs up is the user with the right `dump` in every instance.
    """
    tier, gcp = context.tier, context.gcp
    workload = naming.component(name, store.generation)
    own = (instance_path(context, name, store),)
    identities = {
        user: jobs[Identity.BACKUP]
        if right == "dump" and Identity.BACKUP in jobs
        else identity(
            context,
            f"{name}-{user}",
            naming.login_secret(workload, user),
            own,
            # Approved migrations take their restore point themselves, now.
            takes_backups=right == "ddl" and store.migrations is not None and store.migrations.mode == "approved",
        )
        for user, right in {"admin": "admin", **store.users}.items()
    }
    instance = CloudSqlPostgres(
        workload,
        CloudSqlPostgresArgs(
            instance=instance_name(tier, name, store),
            project=gcp.project,
            region=gcp.region,
            network=network,
            version=store.version,
            edition=store.edition,
            machine=store.machine,
            regional=store.availability == "regional",
            zone=store.zone,
            secondary_zone=store.secondary_zone,
            disk_gb=store.disk.size.bytes // GB,
            disk_limit_gb=store.disk.limit.bytes // GB,
            backups_keep=store.backups.keep,
            backup_start=store.backups.at.utc,
            backup_location=store.backups.location,
            pitr_days=store.pitr.days if store.pitr else None,
            final_backup_days=int(store.final_backup.seconds // 86400),
            maintenance_day=_utc_day(store),
            maintenance_hour=store.maintenance.at.utc_minutes // 60,
            maintenance_track=store.maintenance.track,
            deny_period=(store.deny_period.start, store.deny_period.end) if store.deny_period else None,
            max_connections=max_connections(store),
            slow_query_ms=store.slow_query.milliseconds,
            kms_key=store.kms_key,
            databases=tuple(store.databases),
            users={user: who.email for user, who in identities.items()},
            superusers=("admin",),
            replica_region=store.replica.region if store.replica else None,
            adopt=store.adopt.instance if store.adopt else None,
            adopt_databases=store.adopt.databases if store.adopt else (),
            labels={**context.cloud_labels, "store": name},
            guarded=tier.guarded,
            deletable=tier.is_open(name, "delete"),
        ),
        opts=context.options(),
    )
    role = {user: who.email.removesuffix(".gserviceaccount.com") for user, who in identities.items()}
    roles = CloudSqlRoles(
        workload,
        CloudSqlRolesArgs(
            namespace=context.namespace,
            labels=context.labels,
            image=context.image("ops"),
            proxy_image=context.image("proxy"),
            connection_name=instance.connection_name,
            service_account=naming.login_secret(workload, "admin"),
            admin=role["admin"],
            roles=[Role(name=role[user], right=right) for user, right in store.users.items()],
            databases={database: settings.schemas for database, settings in store.databases.items()},
            protect=tier.guarded,
            waits_for=(instance,),
        ),
        opts=context.options(),
    )
    ways = ["automated", *(["pitr"] if store.pitr else []), *(["logical"] if tier.backups else [])]
    entry = {
        "kind": "cloud-sql",
        **context.shared_entry(store),
        # Whoever connects does so through the proxy of its own pod, which has checked the server and logged in.
        "endpoint": {"kind": "postgres", "host": "127.0.0.1", "port": 5432, "connection_name": instance.connection_name},
        "logins": {
            user: {"user": role[user], "principal": who.email, "service_account": who.service_account} for user, who in identities.items()
        },
        "backup": {"ways": ways, "automated_keep": store.backups.keep, "pitr_days": store.pitr.days if store.pitr else 0},
    }
    tier_migrations.build(context, name, store, entry, [roles])
    return entry


def _utc_day(store: CloudSql) -> str:
    """The maintenance day in UTC: late in the evening west of Greenwich it is the next one."""
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    at = store.maintenance.at
    local, utc = at.hour * 60 + at.minute, at.utc_minutes
    # The offset lies within twelve hours either way, so the shorter way round tells the direction.
    shift = (local - utc + 720) % 1440 - 720
    return days[(days.index(store.maintenance.day) + (local - shift) // 1440) % 7]
