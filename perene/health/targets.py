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


def _late(every: float, slack: float) -> float:
    return every + slack


def targets_of(tier: Mapping[str, Any], *, disk: float | None = None, connections: float | None = None) -> tuple[Target, ...]:
    """Every target of a tier, from the tier document as a plain mapping (its cloud endpoints may not be known yet: see cloud_target).

    disk, connections: the shares of the configuration's `alerts`.
    """
    shares = {"volume-full": disk, "connections-high": connections}
    stack, owner, namespace = tier["stack"], tier["owner"], tier["namespace"]
    plan = tier.get("backups") or {}
    ages = _ages(plan)
    found = []
    for name, store in tier["stores"].items():
        if store["kind"] == "cloud-sql":
            continue
        values = {"namespace": namespace, "workload": store.get("workload") or "", "container": store["kind"]}
        values |= {"volume": store["volume"]["claim"]} if store.get("volume") else {}
        thresholds = {key: share for key, share in shares.items() if share is not None}
        unbacked = not plan or "logical" not in store["backup"]["ways"]
        found.append(
            Target(
                stack=stack,
                owner=owner,
                kind=store["kind"],
                store=name,
                values=values,
                thresholds=thresholds | ages,
                without=frozenset({"backup-stale", "backup-unproven"}) if unbacked else frozenset(),
            )
        )
    if plan:
        jobs = {"namespace": namespace, "backup_cronjob": BACKUP_JOB, "jobs": "|".join(JOBS)}
        found.append(Target(stack=stack, owner=owner, kind="tier", values=jobs, thresholds=ages))
    if plan.get("sealed_every"):
        found.append(Target(stack=stack, owner=owner, kind="sealed", thresholds=ages))
    return tuple(found)


def _ages(plan: Mapping[str, Any]) -> dict[str, float]:
    """Limits of age from the backup plan: daily sets with a window and an hour; drills and seals by their own period."""
    if not plan:
        return {}
    drill = Duration.parse(plan["drill_every"]).seconds
    ages = {
        "backup-stale": _late(_DAY, _WINDOW + _HOUR),
        "drill-overdue": _late(drill, 6 * _HOUR),
        "backup-unproven": _late(2 * drill, 6 * _HOUR),
    }
    if plan.get("sealed_every"):
        ages["sealed-copy-overdue"] = _late(Duration.parse(plan["sealed_every"]).seconds, _DAY)
    return ages


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
    disk: float | None = None,
    connections: float | None = None,
) -> Target:
    """The target of one Cloud SQL instance. database_id: `PROJECT:INSTANCE`; ValueError without the colon (it would match nothing)."""
    if ":" not in database_id:
        raise ValueError(f"{database_id!r} is no PROJECT:INSTANCE; a bare instance name matches no metric")
    values = {"database_id": database_id, "project": project, "slow_pattern": slow_pattern}
    values |= {"standby_of": database_id} if regional else {}
    values |= {"replica_id": replica_id} if replica_id else {}
    values |= {"max_connections": str(max_connections)} if max_connections else {}
    values |= {"limit_bytes": str(limit_bytes)} if limit_bytes else {}
    shares = {"cloud-disk-full": disk, "cloud-connections-high": connections}
    thresholds = {key: share for key, share in shares.items() if share is not None}
    return Target(stack=stack, owner=owner, kind="cloud-sql", store=store, values=values, thresholds=thresholds)


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
