"""Which sets are on hand: read from one listing of the repository, because a manifest's snapshot says that its set is whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from perene.backup.repository import Repository, Snapshot
from perene.backup.run import MANIFEST
from perene.contract.recovery_set import RecoverySet
from perene.errors import PereneError
from perene.exit_codes import ExitCode


@dataclass(frozen=True)
class OnHand:
    """A whole set. time: when it began, in UTC; proven: a drill restored it and found nothing different; snapshots: all its parts."""

    id: str
    time: datetime
    proven: bool
    snapshots: tuple[str, ...]


def began(set_id: str) -> datetime:
    """The time in a set's id."""
    return datetime.strptime(set_id.split("-", maxsplit=1)[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def on_hand(snapshots: Iterable[Snapshot]) -> list[OnHand]:
    """All whole sets, oldest first."""
    groups: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        if "set" in snapshot.tags:
            groups.setdefault(snapshot.tags["set"], []).append(snapshot)
    found = []
    for set_id, parts in groups.items():
        if any(part.path == MANIFEST for part in parts):
            proven = any(part.tags.get("part") == "drill" and part.tags.get("verdict") == "passed" for part in parts)
            found.append(OnHand(set_id, began(set_id), proven, tuple(part.id for part in parts)))
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
    """The manifest of a set; `newest` is the newest whole one. PereneError (exit 3) when there is none."""
    if set_id == "newest":
        sets = on_hand(repository.snapshots())
        if not sets:
            raise PereneError(
                "the repository holds no whole set", where=repository.url, fix="run `perene backup`", exit_code=ExitCode.CANNOT_TELL
            )
        set_id = sets[-1].id
    snapshot = repository.find(MANIFEST, set=set_id)
    return RecoverySet.parse(repository.read(snapshot), f"{repository.url} {set_id}")
