"""Retention carried out on a repository: under the writer's lock, the manifest of a set first, so that no half set is ever listed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from perene.backup import lock, retention, sets
from perene.backup.places import open_place
from perene.backup.progress import Stages
from perene.backup.repository import Repository, Snapshot
from perene.backup.run import MANIFEST, publish
from perene.contract.recovery_set import Removal
from perene.contract.tier import TierDocument
from perene.contract.values import TimeOfDay
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import journal

# Parts without a manifest belong to a run that died; a run never takes this long.
UNFINISHED_AFTER = timedelta(days=2)


def apply(tier: TierDocument, repository: Repository, *, now: datetime, dry_run: bool, stages: Stages) -> retention.Plan:
    """Carry out the tier's keep rules, and remove the remains of runs that died two days ago or earlier."""
    if tier.backups is None:
        raise PereneError(f"{tier.stack} has no keep rules", fix="declare backups.keep", exit_code=ExitCode.CANNOT_TELL)
    rules, zone = tier.backups.keep, TimeOfDay.parse(tier.backups.at).zone
    if dry_run:
        return retention.plan(sets.on_hand(repository.snapshots(), tier.proof_key), rules, now, zone)
    with lock.writer(open_place(repository.url), "retention", stages):
        _heal(repository, stages)
        snapshots = repository.snapshots()
        decided = retention.plan(sets.on_hand(snapshots, tier.proof_key), rules, now, zone)
        under_way = journal.read(open_place(repository.url))
        if under_way and under_way.phase in journal.BEFORE_EXCHANGE:
            return retention.Plan(decided.keep, (), f"a restore of {under_way.set} is under way")
        remains = {name: ids for name, ids in sets.unfinished(snapshots).items() if now - sets.began(name) > UNFINISHED_AFTER}
        for name, ids in remains.items():
            stages.note(f"the remains of the unfinished set {name} are removed")
            repository.forget(ids)
        _remove(repository, decided.remove, snapshots, stages)
        if remains or decided.remove:
            repository.prune()
    return decided


def make_room(tier: TierDocument, repository: Repository, count: int, *, dry_run: bool, stages: Stages) -> Sequence[sets.OnHand]:
    """Remove the oldest sets that may go; which they were."""
    if dry_run:
        return retention.free(sets.on_hand(repository.snapshots(), tier.proof_key), count)
    with lock.writer(open_place(repository.url), "retention", stages):
        _heal(repository, stages)
        snapshots = repository.snapshots()
        chosen = retention.free(sets.on_hand(snapshots, tier.proof_key), count)
        _remove(repository, chosen, snapshots, stages)
        repository.prune()
    return chosen


def _heal(repository: Repository, stages: Stages) -> None:
    stale = repository.unlock()
    if stale:
        stages.note(f"{stale} stale locks of restic were removed: a run had died")


def _remove(repository: Repository, chosen: Sequence[sets.OnHand], snapshots: Sequence[Snapshot], stages: Stages) -> None:
    manifests = {snapshot.id for snapshot in snapshots if snapshot.path == MANIFEST}
    for one in chosen:
        with stages.stage("remove", one.id):
            # The copy of its manifest stays for the record; without this word, said first, a watcher would count on a set that is gone.
            at = datetime.now(UTC).isoformat(timespec="seconds")
            publish(repository, "removed", one.id, Removal(stack=repository.host, set=one.id, at=at))
            repository.forget([snapshot for snapshot in one.snapshots if snapshot in manifests])
            repository.forget([snapshot for snapshot in one.snapshots if snapshot not in manifests])
