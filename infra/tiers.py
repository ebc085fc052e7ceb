"""From configuration to components, and to the tier document that describes them. Reads like the table of environments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra import providers, tier_kubernetes, tier_services
from infra.components.contract import Contract, ContractArgs
from infra.config.cross_checks import CrossCheck
from infra.config.model import Rebuild, Store, Tier
from infra.config.rules_backups import weekly_above
from infra.config.stores import CloudSql
from infra.permissions import Identity
from infra.tier import Context

# A cloud's SDK costs a second to import, so what uses it is imported only for a tier that names the cloud.


def build(tier: Tier, stack: str) -> dict[str, Any]:
    """Declare every component of the tier; returns the tier document, whose values may be outputs."""
    context = Context(tier, stack, providers.of(tier))
    jobs, accounts = _jobs(context)
    stores = _stores(context, jobs)
    repository, mounted = _repository(context, jobs)
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
        "repository": repository,
        "backups": _plan(tier),
        "alerts": {"disk": tier.alerts.disk, "connections": tier.alerts.connections} if tier.alerts else None,
        "encryption_key": _key(context, jobs, stores),
        **({"cross_checks": {name: cross_check(check) for name, check in tier.cross_checks.items()}} if tier.cross_checks else {}),
        "signing": context.secret("signing"),
        **_public_keys(tier, stack),
    }
    document |= {"rebuild": {name: _rebuild(one) for name, one in tier.rebuild.items()}} if tier.rebuild else {}
    tier_kubernetes.backups(context, document, accounts=accounts)
    tier_kubernetes.alerts(context, document)
    tier_kubernetes.exporter(context, document, own_account=Identity.EXPORTER not in accounts, after=mounted)
    if tier.clouds.gcp:
        from infra import tier_gcp_alerts

        tier_gcp_alerts.build(context, document, jobs)
    Contract(
        "contract",
        ContractArgs(namespace=context.namespace, labels=context.labels, tier=document, protect=tier.guarded),
        opts=context.options(),
    )
    return document


def cross_check(check: CrossCheck) -> dict[str, Any]:
    """A cross-check as the contract has it."""
    table = check.rows.table if "." in check.rows.table else f"public.{check.rows.table}"
    against = {name: value or "" for name, value in check.against.model_dump().items()}
    return {"rows": check.rows.model_dump() | {"table": table}, "against": against, "orphans": check.orphans}


def _public_keys(tier: Tier, stack: str) -> dict[str, str | None]:
    """What `perene secrets init` left in the checkout: in git for a guarded tier; the key of a dev cluster is the checkout's own."""
    drills = Path("keys" if tier.guarded else ".perene/keys", f"{stack}.pub")
    recipient = Path("keys", f"{stack}.age.pub")
    return {
        "proof_key": drills.read_text(encoding="utf-8") if drills.exists() else None,
        "recipient": recipient.read_text(encoding="utf-8").strip() if recipient.exists() else None,
    }


def _jobs(context: Context) -> tuple[Mapping[Identity, Any], frozenset[Identity]]:
    """Identities of the tier's jobs, in the clouds where the backups lie; and whose Kubernetes service accounts exist with them."""
    accounts: frozenset[Identity] = frozenset()
    if context.tier.clouds.aws:
        from infra import tier_aws

        accounts = tier_aws.identities(context)
    if context.tier.cluster.kind == "gke" and context.tier.backups:
        from infra import tier_gcp

        jobs = tier_gcp.jobs(context)
        return jobs, accounts | frozenset(jobs)
    return {}, accounts


def _stores(context: Context, jobs: Mapping[Identity, Any]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    network: Any = None
    for name, live in context.tier.stores.items():
        # A retired generation stays declared, guarded as ever, until its entry is taken away: a removal of its own, seen by the gate.
        for store in (*(_retired(live, int(number)) for number in live.retired), live):
            if store.kind == "postgres":
                entry = tier_kubernetes.postgres(context, name, store)
            elif store.kind != "cloud-sql":
                entry = tier_services.build(context, name, store)
            else:
                from infra import tier_cloud_sql, tier_gcp

                network = network or tier_gcp.network(context)
                entry = tier_cloud_sql.build(context, name, store, network, jobs)
            entries[name] = entry
    return entries


def _retired(store: Store, generation: int) -> Store:
    """The store as it was declared before its successor came. What is adopted is the live one."""
    return store.model_copy(update={"generation": generation, **({"adopt": None} if isinstance(store, CloudSql) else {})})


def _repository(context: Context, jobs: Mapping[Identity, Any]) -> tuple[dict[str, Any] | None, tuple[pulumi.Resource, ...]]:
    """The repository's part of the contract, and what must be there before a pod that mounts it."""
    backups = context.tier.backups
    mounted: tuple[pulumi.Resource, ...] = ()
    if backups is None:
        return None, ()
    kept, sealed = backups.repository, backups.sealed_copy
    if kept.kind == "volume":
        entry, mounted = tier_kubernetes.repository(context, kept)
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
    lock_days = sealed.lock.days if sealed else None
    return {**entry, "password": context.secret("restic"), "sealed_copy": address, "lock_days": lock_days}, mounted


def _key(context: Context, jobs: Mapping[Identity, Any], stores: Mapping[str, Any]) -> dict[str, Any] | None:
    key = context.tier.encryption_key
    if key is None:
        return None
    if key.kind == "gcp-secret-manager":
        from infra import tier_gcp

        tier_gcp.vault(context, key, jobs, _applications(stores))
    elif key.kind == "aws-secrets-manager":
        from infra import tier_aws

        tier_aws.vault(context, key)
    entry = {"kind": key.kind, **_generation(context, key.generation), "generation": key.generation}
    earlier = {number: {**_generation(context, int(number)), "in_use": state == "in-use"} for number, state in sorted(key.earlier.items())}
    return entry | ({"earlier": earlier} if earlier else {})


def _rebuild(one: Rebuild) -> dict[str, Any]:
    if one.kind == "command":
        return {"kind": one.kind, "command": list(one.command), "check": list(one.check), "limit": str(one.limit)}
    source = one.source
    return {
        "kind": one.kind,
        "region": one.region,
        "collection": one.collection,
        "store": source.store,
        "database": source.database,
        "table": source.table,
        "id": source.id,
        "bytes": source.bytes,
        "at_least": one.at_least,
    }


def _generation(context: Context, number: int) -> dict[str, Any]:
    return {"ref": context.secret("encryption-key", number), "sentinel": context.secret("sentinel", number)}


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
        "weekly_above": weekly_above(tier),
    }
