"""From configuration to components, and to the tier document that describes them. Reads like the table of environments."""

from collections.abc import Mapping
from typing import Any

from infra import providers, tier_kubernetes
from infra.components.contract import Contract, ContractArgs
from infra.config.model import Tier
from infra.config.stores import CloudSql, Postgres
from infra.tier import Context

# A cloud's SDK costs a second to import, so what uses it is imported only for a tier that names the cloud.


def build(tier: Tier, stack: str) -> dict[str, Any]:
    """Declare every component of the tier; returns the tier document, whose values may be outputs."""
    context = Context(tier, stack, providers.of(tier))
    jobs = _jobs(context)
    stores = _stores(context, jobs)
    document = {
        "document": "tier",
        "version": 1,
        "stack": stack,
        "system": tier.system,
        "environment": tier.environment,
        "owner": tier.owner,
        "guarded": tier.guarded,
        "namespace": tier.cluster.namespace,
        "stores": stores,
        "repository": _repository(context, jobs),
        "backups": _plan(tier),
        "encryption_key": _key(context, jobs, stores),
        "signing": context.secret("signing"),
    }
    if tier.encryption_key is None or tier.encryption_key.kind == "kubernetes":
        tier_kubernetes.backups(context, document)
    tier_kubernetes.alerts(context, document)
    if any(store.kind == "cloud-sql" for store in tier.stores.values()):
        from infra import tier_gcp_alerts

        tier_gcp_alerts.build(context)
    Contract(
        "contract",
        ContractArgs(namespace=context.namespace, labels=context.labels, tier=document, protect=tier.guarded),
        opts=context.options(),
    )
    return document


def _jobs(context: Context) -> Mapping[Any, Any]:
    """Identities of the tier's jobs, in the clouds where the backups lie."""
    if context.tier.clouds.aws:
        from infra import tier_aws

        tier_aws.identities(context)
    if context.tier.cluster.kind == "gke" and context.tier.backups:
        from infra import tier_gcp

        return tier_gcp.jobs(context)
    return {}


def _stores(context: Context, jobs: Mapping[Any, Any]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    network: Any = None
    for name, live in context.tier.stores.items():
        # A retired generation stays declared, guarded as ever, until its entry is taken away: a removal of its own, seen by the gate.
        for store in (*(_retired(live, int(number)) for number in live.retired), live):
            if store.kind == "postgres":
                entry = tier_kubernetes.postgres(context, name, store)
            else:
                from infra import tier_cloud_sql, tier_gcp

                network = network or tier_gcp.network(context)
                entry = tier_cloud_sql.build(context, name, store, network, jobs)
            entries[name] = entry
    return entries


def _retired(store: Postgres | CloudSql, generation: int) -> Postgres | CloudSql:
    """The store as it was declared before its successor came; nothing is migrated in it any more."""
    return store.model_copy(update={"generation": generation, "migrations": None})


def _repository(context: Context, jobs: Mapping[Any, Any]) -> dict[str, Any] | None:
    backups = context.tier.backups
    if backups is None:
        return None
    kept, sealed = backups.repository, backups.sealed_copy
    if kept.kind == "volume":
        entry = tier_kubernetes.repository(context, kept)
    elif kept.kind == "gcs":
        from infra import tier_gcp

        entry = tier_gcp.repository(context, kept, jobs)
    else:
        from infra import tier_aws

        entry = tier_aws.repository(context, kept)
    address = None
    if sealed and sealed.kind == "gcs":
        from infra import tier_gcp

        address = tier_gcp.sealed_copy(context, sealed, jobs)
    elif sealed and sealed.kind == "s3":
        from infra import tier_aws

        address = tier_aws.sealed_copy(context, sealed)
    return {**entry, "password": context.secret("restic"), "sealed_copy": address}


def _key(context: Context, jobs: Mapping[Any, Any], stores: Mapping[str, Any]) -> dict[str, Any] | None:
    key = context.tier.encryption_key
    if key is None:
        return None
    if key.kind == "gcp-secret-manager":
        from infra import tier_gcp

        tier_gcp.vault(context, key, jobs, _applications(stores))
    elif key.kind == "aws-secrets-manager":
        from infra import tier_aws

        tier_aws.vault(context, key)
    return {"kind": key.kind, "ref": context.secret("encryption-key"), "sentinel": context.secret("sentinel"), "generation": 1}


def _applications(stores: Mapping[str, Any]) -> dict[str, str]:
    """Identities that read and write a database hold what is encrypted in it: they read the key."""
    return {
        f"{name}-{user}": f"serviceAccount:{entry['logins'][user]['principal']}"
        for name, entry in stores.items()
        for user, right in entry["rights"].items()
        if right == "read-write" and entry["logins"][user].get("principal")
    }


def _plan(tier: Tier) -> dict[str, Any] | None:
    backups = tier.backups
    if backups is None:
        return None
    keep = {"daily": backups.keep.daily, "weekly": backups.keep.weekly, "monthly": backups.keep.monthly}
    return {
        "at": str(backups.at),
        "keep": {rule: count for rule, count in keep.items() if count},
        "drill_every": str(backups.drill.every),
        "pitr_drill_every": str(backups.drill.pitr) if backups.drill.pitr else None,
        "sealed_every": str(backups.sealed_copy.every) if backups.sealed_copy else None,
    }
