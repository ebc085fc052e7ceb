"""What a tier keeps in the cluster itself: PostgreSQL stores, a repository on a volume, rules for Prometheus."""

from collections.abc import Mapping
from typing import Any

from infra import naming, tier_migrations
from infra.components.alerts_k8s import Alerts, AlertsArgs
from infra.components.backups import Backups, BackupsArgs, Job
from infra.components.postgres import Postgres, PostgresArgs
from infra.components.postgres_pods import MOUNT
from infra.components.repository_volume import RepositoryVolume, RepositoryVolumeArgs
from infra.config.model import VolumeRepository
from infra.config.rules_stores import pooled_connections
from infra.config.stores import Postgres as Settings
from infra.tier import IMAGE_FAMILY, Context
from perene.health.targets import targets_of


def postgres(context: Context, name: str, store: Settings) -> dict[str, Any]:
    """Declare the store; returns its contract entry."""
    tier = context.tier
    workload = naming.component(name, store.generation)
    server = Postgres(
        workload,
        PostgresArgs(
            store=name,
            namespace=context.namespace,
            labels=context.labels,
            image=context.image("postgres"),
            image_family=IMAGE_FAMILY,
            major=store.version,
            storage_class=tier.cluster.storage_class,
            volume=store.volume.size,
            cpu=store.resources.cpu,
            memory=store.resources.memory,
            databases={database: settings.schemas for database, settings in store.databases.items()},
            users=store.users,
            max_connections=pooled_connections(store),
            slow_query_ms=store.slow_query.milliseconds,
            extensions=store.extensions,
            protect=tier.guarded and not tier.is_open(name, "delete"),
        ),
        opts=context.options(),
    )
    entry = _entry(context, name, store, server)
    tier_migrations.build(context, name, store, entry, [server])
    return entry


def _entry(context: Context, name: str, store: Settings, server: Postgres) -> dict[str, Any]:
    tier = context.tier
    workload = naming.component(name, store.generation)
    backed_up = store.backup == "required" and tier.backups is not None
    return {
        "kind": "postgres",
        **context.shared_entry(store),
        "endpoint": {
            "kind": "postgres",
            "host": server.host,
            "port": server.port,
            "ca": context.kubernetes_secret(naming.tls_secret(workload), "ca.crt"),
            "connection_name": None,
        },
        "workload": workload,
        "image": context.image("postgres"),
        "volume": {
            "claim": server.claim,
            "size": str(store.volume.size),
            "storage_class": tier.cluster.storage_class,
            "mount_path": MOUNT,
        },
        "logins": {
            user: {"user": user, "password": context.kubernetes_secret(naming.login_secret(workload, user), "password")}
            for user in ("admin", *store.users)
        },
        "backup": {"ways": ["logical"] if backed_up else []},
    }


def repository(context: Context, kept: VolumeRepository) -> dict[str, Any]:
    """Declare a repository on a volume; returns its part of the contract."""
    volume = RepositoryVolume(
        "repository",
        RepositoryVolumeArgs(
            namespace=context.namespace,
            labels=context.labels,
            storage_class=context.tier.cluster.storage_class,
            size=kept.size,
            protect=context.tier.guarded,
        ),
        opts=context.options(),
    )
    return {"kind": "volume", "url": "/repository", "claim": volume.claim}


def alerts(context: Context, document: Mapping[str, Any]) -> None:
    """Declare the rules of everything that Prometheus sees. document: the tier document."""
    chosen = context.tier.alerts
    Alerts(
        "perene-alerts",
        AlertsArgs(
            stack=context.stack,
            namespace=context.namespace,
            labels=context.labels,
            targets=targets_of(document, disk=chosen.disk if chosen else None, connections=chosen.connections if chosen else None),
            protect=context.tier.guarded,
        ),
        opts=context.options(),
    )


def backups(context: Context, document: Mapping[str, Any]) -> None:
    """Declare the jobs that make, prove and thin out recovery sets. document: the tier document."""
    plan, repository = context.tier.backups, document["repository"]
    if plan is None:
        return
    restic = {repository["password"]["name"]: (repository["password"]["key"],)}
    stores = {name: store for name, store in document["stores"].items() if "logical" in store["backup"]["ways"]}
    dumping: dict[str, tuple[str, ...]] = {}
    for store in stores.values():
        dumping[store["endpoint"]["ca"]["name"]] = ("ca.crt",)
        for user, login in store["logins"].items():
            if store["rights"][user] in {"dump", "admin"}:
                dumping[login["password"]["name"]] = (login["password"]["key"],)
    proving = {document["signing"]["name"]: (document["signing"]["key"],)}
    if document["encryption_key"]:
        key, sealed = document["encryption_key"]["ref"], document["encryption_key"]["sentinel"]
        dumping[sealed["name"]] = (sealed["key"],)
        proving[key["name"]] = (key["key"],)
    every = int(plan.drill.every.seconds // 86400)
    Backups(
        "perene",
        BackupsArgs(
            namespace=context.namespace,
            labels=context.labels,
            image=context.image("ops"),
            at=plan.at,
            jobs={
                "backup": Job(words=("backup",), secrets=restic | dumping, after_hours=0, every_days=1, deadline_hours=6),
                "retention": Job(words=("retention", "apply"), secrets=restic, after_hours=6, every_days=1, deadline_hours=2),
                "drill": Job(words=("drill",), secrets=restic | proving, after_hours=2, every_days=every, deadline_hours=6, memory="1Gi"),
            },
            stores=tuple(stores),
            repository_claim=repository.get("claim"),
            protect=context.tier.guarded,
        ),
        opts=context.options(),
    )
