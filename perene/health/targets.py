"""From the tier document to what the signals are bound to: one target per store, one for the tier, one for its sealed copy. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from perene.contract.values import Duration
from perene.health.catalog.types import Target

# The names under which the program declares the jobs of a tier.
BACKUP_JOB, DRILL_JOB, RETENTION_JOB, SEAL_JOB = "perene-backup", "perene-drill", "perene-retention", "perene-seal"
JOBS = (BACKUP_JOB, DRILL_JOB, RETENTION_JOB, SEAL_JOB)
_DAY, _HOUR = 86400, 3600
# A Cloud SQL backup may begin at any time of its four-hour window.
_WINDOW = 4 * _HOUR


def targets_of(tier: Mapping[str, Any]) -> tuple[Target, ...]:
    """Every target of a tier, from the tier document as a plain mapping (its cloud endpoints may not be known yet: see cloud_target)."""
    stack, owner, namespace, plan = tier["stack"], tier["owner"], tier["namespace"], tier.get("backups") or {}
    found = []
    for name, store in tier["stores"].items():
        if store["kind"] == "cloud-sql":
            continue
        values = {"namespace": namespace}
        # A file volume has no server of its own: what asks for one does not apply.
        values |= {"workload": store["workload"], "container": store["kind"]} if store.get("workload") else {}
        values |= {"volume": store["volume"]["claim"]} if store.get("volume") else {}
        without = set() if plan and "logical" in store["backup"]["ways"] else {"backup-stale", "backup-unproven"}
        without |= {"redis-not-durable"} if store.get("mode") == "cache" else set()
        found.append(
            Target(
                stack=stack,
                owner=owner,
                kind=store["kind"],
                store=name,
                values=values,
                settings=settings_of(tier, name),
                without=frozenset(without),
            )
        )
    settings = settings_of(tier)
    if plan:
        jobs = {"namespace": namespace, "backup_cronjob": BACKUP_JOB, "jobs": "|".join(JOBS)}
        found.append(Target(stack=stack, owner=owner, kind="tier", values=jobs, settings=settings))
    if plan.get("sealed_every"):
        found.append(Target(stack=stack, owner=owner, kind="sealed", settings=settings))
    return tuple(found)


def settings_of(tier: Mapping[str, Any], store: str = "") -> dict[str, float]:
    """Limits that the configuration says, of the tier and of one store: shares, and ages and durations in seconds."""
    found: dict[str, float] = {**(tier.get("alerts") or {})}
    entry = tier["stores"][store] if store else {}
    if entry.get("slow_query"):
        found["slow-query"] = Duration.parse(entry["slow_query"]).seconds
    if entry.get("free_space"):
        found["disk-warning"] = round(1 - entry["free_space"], 4)
    plan = tier.get("backups")
    if plan:
        drill = Duration.parse(plan["drill_every"]).seconds
        # Daily sets with a window and an hour; drills and seals by their own period.
        found |= {"backup-age": _DAY + _WINDOW + _HOUR, "drill-age": drill + 6 * _HOUR, "proof-age": 2 * drill + 6 * _HOUR}
        if plan.get("sealed_every"):
            found["seal-age"] = Duration.parse(plan["sealed_every"]).seconds + _DAY
    return found


def cloud_target(
    *,
    stack: str,
    owner: str,
    store: str,
    database_id: str,
    project: str,
    slow_pattern: str,
    max_connections: int | None = None,
    limit_bytes: int | None = None,
    regional: bool = False,
    replica_id: str | None = None,
    settings: Mapping[str, float] | None = None,
    backed_up: bool = True,
) -> Target:
    """The target of one Cloud SQL instance. database_id: `PROJECT:INSTANCE`; ValueError without the colon (it would match nothing).

    settings: `settings_of` the tier and store; backed_up: recovery sets hold it.
    """
    if ":" not in database_id:
        raise ValueError(f"{database_id!r} is no PROJECT:INSTANCE; a bare instance name matches no metric")
    values = {"database_id": database_id, "project": project, "slow_pattern": slow_pattern}
    values |= {"standby_of": database_id} if regional else {}
    values |= {"replica_id": replica_id} if replica_id else {}
    values |= {"max_connections": str(max_connections)} if max_connections else {}
    values |= {"limit_bytes": str(limit_bytes)} if limit_bytes else {}
    without = frozenset[str]() if backed_up else frozenset({"backup-stale", "backup-unproven"})
    return Target(stack=stack, owner=owner, kind="cloud-sql", store=store, values=values, settings=settings or {}, without=without)


def key_target(*, stack: str, owner: str, project: str, secret: str, readers: Sequence[str]) -> Target:
    """The encryption key in Secret Manager: whoever reads it and is none of `readers` (principals' e-mail addresses) pages.

    ValueError without readers: every read would page, and soon nobody would look.
    """
    if not readers:
        raise ValueError(f"nobody is expected to read {secret}: name the identities that may")
    quoted = " OR ".join(f'"{reader}"' for reader in readers)
    return Target(stack=stack, owner=owner, kind="key", values={"project": project, "secret": secret, "readers": quoted})


def sealed_bucket_target(*, stack: str, owner: str, project: str, bucket: str) -> Target:
    """The sealed copy's bucket, in the vault's project."""
    values = {"vault_project": project, "sealed_bucket": bucket}
    return Target(stack=stack, owner=owner, kind="sealed", values=values, without=frozenset({"sealed-copy-overdue"}))
