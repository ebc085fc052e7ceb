"""Which sets are on hand: read from one listing of the repository, because a manifest's snapshot says that its set is whole."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from perene.backup import proofs
from perene.backup.repository import Repository, Snapshot
from perene.backup.run import MANIFEST, STAMP
from perene.contract.recovery_set import KeyProof, RecoverySet
from perene.errors import PereneError
from perene.exit_codes import ExitCode


@dataclass(frozen=True)
class OnHand:
    """A whole set.

    time: when it began, in UTC; proven: a drill restored exactly this content, found nothing different, and signed that;
    snapshots: all its parts; reason: why it was made besides the schedule; imported: when it came out of an archive, ISO 8601, empty for a
    set that was made here; every: until the next one is due.
    """

    id: str
    time: datetime
    proven: bool
    snapshots: tuple[str, ...]
    reason: str = ""
    imported: str = ""
    every: str = "1d"


def began(set_id: str) -> datetime:
    """The time in a set's id."""
    return datetime.strptime(set_id.split("-", maxsplit=1)[0], STAMP).replace(tzinfo=UTC)


def on_hand(snapshots: Iterable[Snapshot], key: str | None = None) -> list[OnHand]:
    """All whole sets, oldest first. key: the public key of drills (the tier document's `proof_key`); without it none is proven."""
    groups: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        if "set" in snapshot.tags:
            groups.setdefault(snapshot.tags["set"], []).append(snapshot)
    found = []
    for set_id, parts in groups.items():
        manifest = next((part for part in parts if part.path == MANIFEST), None)
        if manifest:
            proven, ids = proofs.proven(set_id, parts, key), tuple(part.id for part in parts)
            reason, imported = (manifest.tags.get(tag, "") for tag in ("reason", "imported"))
            every = manifest.tags.get("every", "1d")
            found.append(OnHand(set_id, began(set_id), proven, ids, reason, imported, every))
    return sorted(found, key=lambda one: (one.time, one.id))


def unfinished(snapshots: Iterable[Snapshot]) -> dict[str, tuple[str, ...]]:
    """Parts of sets without a manifest: id of the set that does not exist -> its snapshots."""
    groups: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        if "set" in snapshot.tags:
            groups.setdefault(snapshot.tags["set"], []).append(snapshot)
    return {
        set_id: tuple(part.id for part in parts) for set_id, parts in groups.items() if not any(part.path == MANIFEST for part in parts)
    }


def load(repository: Repository, set_id: str) -> RecoverySet:
    """The manifest of a set; `newest` is the newest whole one of the schedule. PereneError (exit 3) when there is none."""
    return found(repository, set_id)[0]


def found(repository: Repository, set_id: str) -> tuple[RecoverySet, tuple[Snapshot, ...]]:
    """The same, and every snapshot of the set, by one listing of the repository."""
    newest = set_id == "newest"
    tags = {} if newest else {"set": set_id}
    # A repository takes most of a second to open: what is most likely wanted is read meanwhile.
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(repository.read_newest, MANIFEST, **tags)
        listed = repository.snapshots(**tags)
    if newest:
        sets = [one for one in on_hand(listed) if not one.reason]
        if not sets:
            raise PereneError(
                "the repository holds no whole set", where=repository.url, fix="run `perene backup`", exit_code=ExitCode.CANNOT_TELL
            )
        set_id = sets[-1].id
    parts = tuple(one for one in listed if one.tags.get("set") == set_id)
    manifests = [one for one in parts if one.path == MANIFEST]
    if not manifests:
        raise PereneError(f"{MANIFEST} of {set_id} is not in the repository", where=repository.url, exit_code=ExitCode.CANNOT_TELL)
    where = f"{repository.url} {set_id}"
    is_newest = [one for one in listed if one.path == MANIFEST][-1] == manifests[-1]
    # Another set may have come between the two.
    if is_newest and ahead.exception() is None and (manifest := RecoverySet.parse(ahead.result(), where)).id == set_id:
        return manifest, parts
    return RecoverySet.parse(repository.read(manifests[-1]), where), parts


def keys_needed(repository: Repository) -> dict[str, KeyProof]:
    """Whole set on hand -> what it says about the keys that it needs; a set without a key is left out."""
    manifests = [(snapshot.tags["set"], snapshot) for snapshot in repository.snapshots() if snapshot.path == MANIFEST]
    found = {name: RecoverySet.parse(repository.read(snapshot), f"{repository.url} {name}").key for name, snapshot in manifests}
    return {name: proof for name, proof in found.items() if proof}
