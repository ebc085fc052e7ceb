"""The drill: restore a set into a scratch PostgreSQL, compare, open the sentinel, damage a canary, and sign what was found."""

import io
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from perene.backup import process, sets
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import publish
from perene.contract.drill import DamageResult, DrillRecord, StoreResult
from perene.contract.recovery_set import RecoverySet
from perene.contract.tier import TierDocument
from perene.contract.values import Duration
from perene.custody import sentinel
from perene.drill import canary, damage, proof
from perene.drill.scratch import scratch
from perene.restore import run as restore
from perene.safety.signing import sign
from perene.version import VERSION

SIGNER = "perene-jobs"


def drill(
    tier: TierDocument,
    repository: Repository,
    *,
    set_id: str = "newest",
    key: Callable[[], bytes] | None,
    signing_key: bytes | None,
    work: Path,
    stages: Stages,
    kind: damage.Damage | None = None,
    now: datetime | None = None,
) -> DrillRecord:
    """Restore and compare a whole set; the record says `passed` only when everything agrees, and is stored beside the set.

    key: asked for the encryption key when the set carries a sentinel; kind: which damage, else the one whose turn it is.
    """
    began = now or datetime.now(UTC)
    clock = time.monotonic()
    manifest = sets.load(repository, set_id)
    results = _stores(manifest, repository, work, stages)
    opened = None
    if manifest.key:
        opened = key is not None and sentinel.opens(key(), bytes.fromhex(manifest.key.sentinel))
    rto = time.monotonic() - clock
    chosen = kind or damage.of_day(began.toordinal())
    with stages.stage("damage", chosen.kind):
        noticed = _damage(manifest, repository, chosen, work)
    goals = [(Duration.parse(store.goals.rpo).seconds, Duration.parse(store.goals.rto).seconds) for store in tier.stores.values()]
    rpo = max(0.0, (began - datetime.fromisoformat(manifest.started)).total_seconds())
    rpo_goal, rto_goal = min((goal[0] for goal in goals), default=0.0), min((goal[1] for goal in goals), default=0.0)
    reasons = _reasons(results, opened, noticed, rpo=(rpo, rpo_goal), rto=(rto, rto_goal))
    record = DrillRecord(
        stack=tier.stack,
        environment=tier.environment,
        source="set",
        set=manifest.id,
        started=began.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict="failed" if reasons else "passed",
        reasons=tuple(reasons),
        stores=results,
        key_opened=opened,
        damage=noticed,
        rpo_seconds=round(rpo, 1),
        rpo_goal_seconds=rpo_goal,
        rto_seconds=round(rto, 1),
        rto_goal_seconds=rto_goal,
        bytes=manifest.bytes,
        versions={"perene": VERSION, "postgres": process.version("postgres"), "restic": process.version("restic")},
    )
    if signing_key:
        record = record.model_copy(update={"signature": sign(record, signing_key, SIGNER).signature.value})
    tags = {"set": manifest.id, "part": "drill", "verdict": record.verdict}
    publish(repository, "drills", f"{manifest.id}-{began:%Y%m%dT%H%M%SZ}", record)
    repository.backup_bytes(record.to_json().encode(), path="/drill.json", tags=tags)
    return record


def _stores(manifest: RecoverySet, repository: Repository, work: Path, stages: Stages) -> dict[str, StoreResult]:
    results = {}
    for name, store in manifest.stores.items():
        if store.content.kind == "files":
            with tempfile.TemporaryDirectory(dir=work) as folder:
                target = Path(folder) / "tree"
                results[name] = restore.files_store(
                    target, name=name, store=store, set_id=manifest.id, repository=repository, stages=stages
                )
        elif store.content.kind == "postgres":
            with scratch(work) as server:
                checks = manifest.tier.stores[name].checks
                results[name] = restore.postgres_store(
                    server, name=name, store=store, set_id=manifest.id, repository=repository, work=work, stages=stages, checks=checks
                )
    return results


def _damage(manifest: RecoverySet, repository: Repository, chosen: damage.Damage, work: Path) -> DamageResult | None:
    if manifest.canary is None:
        return None
    quiet = Stages(io.StringIO(), live=False)
    with scratch(work) as server, tempfile.TemporaryDirectory(dir=work) as folder, quiet.stage("fetch", "canary"):
        dump = Path(folder) / "canary.dump"
        repository.fetch(repository.find(f"/canary.{canary.DATABASE}.dump", set=manifest.id, store="canary"), dump)
        return proof.prove(server, dump, manifest.canary, chosen, manifest.id)


def _reasons(
    results: dict[str, StoreResult],
    opened: bool | None,
    noticed: DamageResult | None,
    *,
    rpo: tuple[float, float],
    rto: tuple[float, float],
) -> list[str]:
    reasons = [f"{name}: {difference}" for name, result in results.items() for difference in result.differences[:50]]
    reasons += [
        f"{name}: {check.count} has {check.found} rows, at least {check.at_least} are wanted"
        for name, result in results.items()
        for check in result.checks
        if check.found < check.at_least
    ]
    if not results:
        reasons.append("the set holds no store")
    if opened is False:
        reasons.append("the encryption key does not open the sentinel: what the application sealed cannot be read")
    if noticed is None:
        reasons.append("the set carries no canary, so the drill cannot show that it would notice damage")
    elif not noticed.found_by:
        reasons.append(f"the drill did not notice the damage done on purpose: {noticed.kind}")
    for name, (measured, goal) in {"recovery point": rpo, "recovery time": rto}.items():
        if measured > goal:
            reasons.append(f"{name} {measured:.0f} s misses the goal of {goal:.0f} s")
    return reasons
