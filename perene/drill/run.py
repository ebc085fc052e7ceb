"""The drill: restore a set into a scratch PostgreSQL, compare, open the sentinel, damage a canary, and sign what was found."""

import io
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from perene.backup import process, proofs, sets
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import publish
from perene.contract.drill import DamageResult, Difference, DrillRecord, StoreResult
from perene.contract.recovery_set import RecoverySet
from perene.contract.tier import TierDocument
from perene.contract.values import Duration
from perene.custody import sentinel
from perene.drill import damage, proof
from perene.drill.scratch import UNSAFE, scratch
from perene.errors import PereneError
from perene.restore import crosscheck
from perene.restore import run as restore
from perene.restore.job import Job, wrong
from perene.safety import drills
from perene.version import VERSION

HOUR = 3600


def drill(
    tier: TierDocument,
    repository: Repository,
    *,
    set_id: str = "newest",
    key: Callable[[int], bytes] | None,
    signing_key: bytes | None,
    work: Path,
    stages: Stages,
    kind: damage.Damage | None = None,
    now: datetime | None = None,
    source: Literal["set", "sealed"] = "set",
    evidence: Repository | None = None,
    fetched: float = 0.0,
) -> DrillRecord:
    """Restore and compare a whole set; the record says `passed` only when everything agrees, and is stored beside the set.

    key: asked for each generation of the encryption key that the set names; kind: which damage, else the one whose turn it is; evidence:
    beside which repository the record is published, when it is not the one that is read; fetched: seconds until the set was here.
    """
    began = now or datetime.now(UTC)
    clock = time.monotonic() - fetched
    manifest, parts = sets.found(repository, set_id)
    with crosscheck.crossing(manifest.tier.cross_checks, work) as crossing:
        planned = restore.jobs(
            manifest,
            repository,
            stores=manifest.tier.stores,
            work=work,
            stages=stages,
            turn=began.toordinal(),
            crossing=crossing,
            snapshots=parts,
        )
        results = {name: _proven(restorer, job) for name, (restorer, job) in planned.items()}
        with stages.stage("cross-check", manifest.id):
            results = crossing.results(results, all_=True)
    closed = closed_keys(manifest.key.sentinels if manifest.key else {}, key)
    rto = time.monotonic() - clock
    chosen = kind or damage.of_day(began.toordinal())
    with stages.stage("damage", chosen.kind):
        noticed = _damage(manifest, repository, chosen, work)
    rpo_goal, rto_goal = goals(tier, source, manifest.every)
    rpo = (began - datetime.fromisoformat(manifest.started)).total_seconds()
    reasons = _reasons(results, closed, noticed, rpo=(rpo, rpo_goal), rto=(rto, rto_goal))
    record = DrillRecord(
        stack=tier.stack,
        environment=tier.environment,
        source=source,
        set=manifest.id,
        started=began.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict="failed" if reasons else "passed",
        reasons=tuple(reasons),
        stores=results,
        key_opened=not closed if manifest.key else None,
        damage=noticed,
        rpo_seconds=max(0.0, round(rpo, 1)),
        rpo_goal_seconds=rpo_goal,
        rto_seconds=round(rto, 1),
        rto_goal_seconds=rto_goal,
        bytes=manifest.bytes,
        versions={"perene": VERSION, "postgres": process.version("postgres"), "restic": process.version("restic")},
        server=UNSAFE,
    )
    tags = {"set": manifest.id, "part": proofs.RECORD, "verdict": record.verdict}
    if signing_key:
        record = drills.signed(record, signing_key)
        if record.verdict == "passed":
            tags[proofs.TAG] = proofs.prove(manifest.id, parts, signing_key)
    try:
        publish(evidence or repository, "drills", f"{manifest.id}-{began:%Y%m%dT%H%M%SZ}", record)
    except (OSError, PereneError) as unreachable:
        # A drill from the sealed copy is for the day on which the repository is not there.
        if evidence is None:
            raise
        stages.note(f"the record could not be left beside the repository: {unreachable}")
    repository.backup_bytes(record.to_json().encode(), path="/drill.json", tags=tags)
    return record


def _proven(restorer: restore.Restorer, job: Job) -> StoreResult:
    """A store that cannot be brought back here is unproven, by name and with the reason; the drill goes on with the others, and fails."""
    try:
        return restorer.scratch(job)
    except PereneError as failure:
        found = tuple(
            Difference(
                kind="unproven", where=job.name, expected="restored and compared", found=f"{problem.what} ({problem.why or problem.where})"
            )
            for problem in failure.problems
        )
        return StoreResult(differences=found, checks=(), seconds={}, bytes=0)


def goals(tier: TierDocument, source: str, every: str = "1d") -> tuple[float, float]:
    """Seconds of recovery point and recovery time that a drill is measured against.

    A store with point-in-time recovery keeps its goal by that (`--from pitr` measures it): a set of it is as old as its interval and the
    hours until the drill. A sealed copy is as old as its own interval, and the set's, for the drill that came before it.
    every: until the next set is due.
    """
    interval = Duration.parse(every).seconds
    own = [store.goals.rpo for store in tier.stores.values() if "pitr" not in store.backup.ways]
    rpo = min((Duration.parse(goal).seconds for goal in own), default=interval + 4 * HOUR)
    if source == "sealed" and tier.backups and tier.backups.sealed_every:
        rpo = Duration.parse(tier.backups.sealed_every).seconds + interval
    return float(rpo), min((Duration.parse(store.goals.rto).seconds for store in tier.stores.values()), default=0.0)


def _damage(manifest: RecoverySet, repository: Repository, chosen: damage.Damage, work: Path) -> DamageResult | None:
    if manifest.canary is None:
        return None
    quiet = Stages(io.StringIO(), live=False)
    with scratch(work) as server, tempfile.TemporaryDirectory(dir=work) as folder, quiet.stage("fetch", "canary"):
        dump = Path(folder) / "canary.dump"
        repository.fetch(repository.find(manifest.canary.parts[0].path, set=manifest.id, store="canary"), dump)
        return proof.prove(server, dump, manifest.canary, chosen, manifest.id)


def closed_keys(sentinels: dict[int, bytes], key: Callable[[int], bytes] | None) -> list[str]:
    """Why a generation that the set names does not open: no key, one of a wrong length, another one."""
    found = []
    for generation, sealed in sentinels.items():
        named = f"the encryption key (generation {generation})"
        try:
            value = key(generation) if key else b""
        except PereneError as missing:
            found.append(f"{named} is missing: {missing.problems[0].what}, {missing.problems[0].why}")
            continue
        if len(value) != 32:
            found.append(f"{named} is of a wrong length: {len(value)} bytes, 32 are wanted" if key else f"{named} was not given")
        elif not sentinel.opens(value, sealed):
            found.append(f"{named} is another one than sealed the set: {sentinel.fingerprint(value)} does not open its sentinel")
    return found


def _reasons(
    results: dict[str, StoreResult],
    closed: list[str],
    noticed: DamageResult | None,
    *,
    rpo: tuple[float, float],
    rto: tuple[float, float],
) -> list[str]:
    reasons = [f"{name}: {line}" for name, result in results.items() for line in wrong(result)[:50]]
    if not results:
        reasons.append("the set holds no store")
    reasons += [f"{reason}; what the application sealed cannot be read" for reason in closed]
    reasons += [
        f"{name}: the drill did not notice the damage done on purpose: {result.damage.kind}"
        for name, result in results.items()
        if result.damage and not result.damage.found_by
    ]
    if noticed is None:
        reasons.append("the set carries no canary, so the drill cannot show that it would notice damage")
    elif not noticed.found_by:
        reasons.append(f"the drill did not notice the damage done on purpose: {noticed.kind}")
    if rpo[0] < -HOUR:
        reasons.append("the set is of the future: one of the clocks is wrong, and no recovery point can be told")
    for name, (measured, goal) in {"recovery point": rpo, "recovery time": rto}.items():
        if measured > goal:
            reasons.append(f"{name} {measured:.0f} s misses the goal of {goal:.0f} s")
    return reasons
