"""From configuration to components, and to the tier document that describes them."""

from dataclasses import dataclass
from typing import Any

import pulumi

from infra import guards, naming, providers
from infra.components.contract import Contract, ContractArgs
from infra.components.postgres import Postgres, PostgresArgs
from infra.components.postgres_pods import MOUNT
from infra.config import stores as kinds
from infra.config.model import Tier
from infra.config.rules_stores import pooled_connections

# On a local cluster perene loads its own images under these names; the family says which collations the data was sorted by.
LOCAL_IMAGES = {"postgres": "perene.local/postgres:17", "ops": "perene.local/ops:17"}
IMAGE_FAMILY = "debian-13"


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the program made: the tier document, whose values may be outputs."""

    tier: dict[str, Any]


def build(tier: Tier, stack: str) -> Built:
    """Declare every component of the tier."""
    cluster = providers.cluster(tier)
    labels = naming.labels(stack, tier.system, tier.environment)
    opts = guards.component(protect=tier.guarded, providers=[cluster])
    entries: dict[str, Any] = {}
    for name, store in tier.stores.items():
        if store.kind == "postgres":
            entries[name] = _postgres(tier, name, store, labels, opts)
    document = _document(tier, stack, entries)
    Contract(
        "contract",
        ContractArgs(namespace=tier.cluster.namespace, labels=labels, tier=document, protect=tier.guarded),
        opts=opts,
    )
    return Built(tier=document)


def image(tier: Tier, kind: str) -> str:
    """The image of a kind: by digest from the configuration, or the one that perene loads into a local cluster."""
    given = {"postgres": tier.images.postgres, "ops": tier.images.ops} if tier.images else LOCAL_IMAGES
    return given[kind]


def _postgres(tier: Tier, name: str, store: kinds.Postgres, labels: dict[str, str], opts: pulumi.ResourceOptions) -> dict[str, Any]:
    workload = naming.component(name, store.generation)
    databases = {database: settings.schemas for database, settings in store.databases.items()}
    server = Postgres(
        workload,
        PostgresArgs(
            store=name,
            namespace=tier.cluster.namespace,
            labels=labels,
            image=image(tier, "postgres"),
            image_family=IMAGE_FAMILY,
            major=store.version,
            storage_class=tier.cluster.storage_class,
            volume=store.volume.size,
            cpu=store.resources.cpu,
            memory=store.resources.memory,
            databases=databases,
            users=store.users,
            max_connections=pooled_connections(store),
            slow_query_ms=store.slow_query.milliseconds,
            extensions=store.extensions,
            protect=tier.guarded and not tier.is_open(name, "delete"),
        ),
        opts=opts,
    )
    return {
        "kind": "postgres",
        "generation": store.generation,
        "version": str(store.version),
        "endpoint": {
            "kind": "postgres",
            "host": server.host,
            "port": server.port,
            "ca": _secret(tier, naming.tls_secret(workload), "ca.crt"),
            "connection_name": None,
        },
        "workload": workload,
        "image": image(tier, "postgres"),
        "volume": {
            "claim": server.claim,
            "size": str(store.volume.size),
            "storage_class": tier.cluster.storage_class,
            "mount_path": MOUNT,
        },
        "databases": {database: list(schemas) for database, schemas in databases.items()},
        "logins": {
            user: {"user": user, "password": _secret(tier, naming.login_secret(workload, user), "password"), "principal": None}
            for user in ("admin", *store.users)
        },
        "rights": {**store.users, "admin": "admin"},
        "backup": {"ways": ["logical"] if store.backup == "required" and tier.backups else [], "automated_keep": 0, "pitr_days": 0},
        "goals": _goals(tier, store),
        "checks": [
            {"count": check.count, "at_least": check.at_least, "database": check.database or next(iter(databases))}
            for check in store.checks
        ],
        "guarded": tier.guarded,
    }


def _secret(tier: Tier, name: str, key: str) -> dict[str, str]:
    return {"vault": "kubernetes", "scope": tier.cluster.namespace, "name": name, "key": key}


def _goals(tier: Tier, store: kinds.Postgres | kinds.CloudSql) -> dict[str, str]:
    goals = store.goals or tier.goals
    return {"rpo": str(goals.rpo), "rto": str(goals.rto)}


def _document(tier: Tier, stack: str, entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "document": "tier",
        "version": 1,
        "stack": stack,
        "system": tier.system,
        "environment": tier.environment,
        "owner": tier.owner,
        "guarded": tier.guarded,
        "namespace": tier.cluster.namespace,
        "stores": entries,
        "repository": None,
        "backups": None,
        "encryption_key": None,
    }
