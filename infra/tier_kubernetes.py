"""What a tier keeps in the cluster itself: PostgreSQL stores, a repository on a volume, rules for Prometheus."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pulumi

from infra import naming, tier_migrations
from infra.components import pods, sidecars
from infra.components.alerts_k8s import Alerts, AlertsArgs
from infra.components.backups import Backups, BackupsArgs, Job
from infra.components.exporter import Exporter, ExporterArgs
from infra.components.postgres import Postgres, PostgresArgs
from infra.components.postgres_pods import MOUNT
from infra.components.repository_volume import RepositoryVolume, RepositoryVolumeArgs
from infra.config.model import VolumeRepository
from infra.config.rules_backups import declared_size
from infra.config.rules_stores import pooled_connections
from infra.config.services import Redis
from infra.config.stores import Postgres as Settings
from infra.permissions import Identity
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
            collector=context.collector,
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
        "rights": {"admin": "admin", **store.users, sidecars.USER: "monitor"},
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
            for user in ("admin", *store.users, sidecars.USER)
        },
        "backup": {"ways": ["logical"] if backed_up else []},
    }


def repository(context: Context, kept: VolumeRepository) -> tuple[dict[str, Any], tuple[pulumi.Resource, ...]]:
    """Declare a repository on a volume; returns its part of the contract, and what must be there before a pod that mounts it."""
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
    return {"kind": "volume", "url": "/repository", "claim": volume.claim}, (volume.volume,)


def alerts(context: Context, document: Mapping[str, Any]) -> None:
    """Declare the rules of everything that Prometheus sees. document: the tier document."""
    chosen = context.tier.alerts
    Alerts(
        "perene-alerts",
        AlertsArgs(
            stack=context.stack,
            namespace=context.namespace,
            labels=context.labels,
            targets=targets_of(document),
            protect=context.tier.guarded,
            operator=context.collector == "operator",
            rule_labels=(chosen.operator if chosen else None) or {},
        ),
        opts=context.options(),
    )


def exporter(context: Context, document: Mapping[str, Any], *, own_account: bool, after: tuple[pulumi.Resource, ...]) -> None:
    """Declare what the rules are fed with.

    document: the tier document; own_account: no cloud identity brings the service account; after: what its pod mounts.
    """
    claim, chosen = (document["repository"] or {}).get("claim"), context.tier.alerts
    Exporter(
        "perene-exporter",
        ExporterArgs(
            stack=context.stack,
            namespace=context.namespace,
            labels=context.labels,
            image=context.image("ops"),
            protect=context.tier.guarded,
            own_account=own_account,
            after=after,
            stores=tuple(name for name, store in document["stores"].items() if store.get("workload")),
            volumes=(pods.claim("repository", claim),) if claim else (),
            mounts=(pods.mount("repository", document["repository"]["url"]),) if claim else (),
            collector=context.collector,
            states=not (chosen and chosen.kube_state_metrics),
        ),
        opts=context.options(),
    )


def backups(context: Context, document: Mapping[str, Any], *, accounts: Collection[Identity]) -> None:
    """Declare the jobs that make, prove, seal and thin out recovery sets.

    document: the tier document; accounts: identities that a cloud knows.
    """
    tier, plan = context.tier, context.tier.backups
    if plan is None:
        return
    stores = {name: store for name, store in document["stores"].items() if "logical" in store["backup"]["ways"]}
    restic, proving = [document["repository"]["password"]], [document["signing"]]
    dumping, proxied = [], {}
    for store in stores.values():
        endpoint = store.get("endpoint") or {}
        dumping += [endpoint["ca"]] if endpoint.get("ca") else []
        dumping += [login.get("password") for user, login in store["logins"].items() if store["rights"][user] in {"dump", "admin"}]
        if endpoint.get("connection_name"):
            proxied[endpoint["connection_name"]] = endpoint["port"]
    # A broker whose messages are kept is copied while it is stopped; its volume is seen by the job at the very path that its queues hold.
    trees = [store for store in stores.values() if store["kind"] == "files" or store.get("messages") == "stopped"]
    if document["encryption_key"]:
        for one in (document["encryption_key"], *document["encryption_key"].get("earlier", {}).values()):
            dumping += [one["sentinel"]] if one.get("in_use", True) else []
            proving.append(one["ref"])
    scratch, largest = plan.drill.scratch, max(declared_size(tier.stores[name]) for name in stores) if stores else 0
    jobs = {
        "backup": Job(
            words=("backup", "--when-due") if document["backups"]["weekly_above"] else ("backup",),
            secrets=_mounted(restic + dumping),
            after_hours=0,
            every_days=1,
            deadline_hours=6,
            memory=_memory(context, 512),
            volumes={store["volume"]["claim"]: store["volume"]["mount_path"] for store in trees},
            groups=tuple(sorted({store["owner"]["gid"] for store in trees if store.get("owner")} - {pods.UID})),
            beside=tuple(store["workload"] for store in trees if store.get("workload")),
            proxied=proxied,
        ),
        "retention": Job(words=("retention", "apply"), secrets=_mounted(restic), after_hours=6, every_days=1, deadline_hours=2),
        "drill": Job(
            words=("drill",),
            secrets=_mounted(restic + proving),
            after_hours=2,
            every_days=int(plan.drill.every.seconds // 86400),
            deadline_hours=6,
            memory=_memory(context, 1024),
            scratch=scratch.size.kubernetes if scratch else f"{2 * largest // 2**30 + 10}Gi",
            scratch_class=scratch.storage_class if scratch else "",
        ),
    }
    if plan.sealed_copy:
        days = int(plan.sealed_copy.every.seconds // 86400)
        # Between the drill that proves the set and the retention that thins the others out.
        jobs["seal"] = Job(
            words=("repo", "seal"), secrets=_mounted(restic), after_hours=4, every_days=days, deadline_hours=12, memory="1Gi"
        )
    Backups(
        "perene",
        BackupsArgs(
            namespace=context.namespace,
            labels=context.labels,
            image=context.image("ops"),
            at=plan.at,
            jobs=jobs,
            stores=tuple(stores),
            repository_claim=document["repository"].get("claim"),
            protect=tier.guarded,
            proxy_image=context.image("proxy") if proxied else "",
            service_accounts={job: f"perene-{job}" for job in jobs if Identity(job) in accounts},
        ),
        opts=context.options(),
    )


def _memory(context: Context, mebibytes: int) -> str:
    """Memory of a job that reads copies: a Redis of its own holds the largest store's keys, and a tenth more."""
    stores = [store for store in context.tier.stores.values() if isinstance(store, Redis) and store.backup == "required"]
    largest = max((store.max_memory.bytes for store in stores), default=0)
    total = mebibytes + math.ceil(largest * 1.1 / 2**20)
    return f"{total}Mi" if total % 1024 else f"{total // 1024}Gi"


def _mounted(references: Sequence[Mapping[str, str] | None]) -> dict[str, tuple[str, ...]]:
    """The secrets of the cluster among some: name -> keys."""
    found: dict[str, tuple[str, ...]] = {}
    for one in references:
        if one and one["vault"] == "kubernetes":
            found[one["name"]] = tuple(dict.fromkeys((*found.get(one["name"], ()), one["key"])))
    return found
