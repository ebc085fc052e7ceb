"""Bringing a set back: which restorer each kind of store has, and one store after the other. Nothing is written over."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from perene.backup.progress import Stages
from perene.backup.repository import Repository, Snapshot
from perene.contract.drill import StoreResult
from perene.contract.recovery_set import RecoverySet
from perene.contract.tier import Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import databases, databases_in_place, qdrant, rabbitmq, redis, services_in_place, trees, trees_in_place
from perene.restore.crosscheck import Crossing
from perene.restore.job import InPlace, Job, Target, is_server


@dataclass(frozen=True)
class Restorer:
    """How a kind of store comes back and is compared.

    beside: into a new place next to the live data, or where `Job.to` says; scratch: into a place of its own below `Job.work`, which is
    gone afterwards (the drill); in_place: takes the place of the live data (None: there is no such way).
    """

    beside: Callable[[Job], StoreResult]
    scratch: Callable[[Job], StoreResult]
    in_place: Callable[[Target], AbstractContextManager[InPlace]] | None = None


POSTGRES = Restorer(beside=databases.beside, scratch=databases.scratch, in_place=databases_in_place.open_store)
# One restorer per store kind; the kind decides, nothing else.
RESTORERS: Mapping[str, Restorer] = {
    "postgres": POSTGRES,
    "cloud-sql": POSTGRES,
    "files": Restorer(beside=trees.beside, scratch=trees.scratch, in_place=trees_in_place.open_store),
    "redis": Restorer(beside=redis.beside, scratch=redis.scratch, in_place=services_in_place.open_store),
    "rabbitmq": Restorer(beside=rabbitmq.beside, scratch=rabbitmq.scratch, in_place=services_in_place.open_store),
    "qdrant": Restorer(beside=qdrant.beside, scratch=qdrant.scratch, in_place=services_in_place.open_store),
}


def jobs(
    manifest: RecoverySet,
    repository: Repository,
    *,
    stores: Mapping[str, Store],
    only: str | None = None,
    work: Path,
    stages: Stages,
    to: tuple[str, ...] = (),
    turn: int | None = None,
    crossing: Crossing | None = None,
    snapshots: Sequence[Snapshot] | None = None,
) -> dict[str, tuple[Restorer, Job]]:
    """What is to be done, by store, once everything that can be known beforehand is.

    stores: as the tier has them; snapshots: the set's, where they were listed already.
    PereneError when the set, this version or the tier does not know a store, or a part of the set is not in the repository.
    """
    if only is not None and only not in manifest.stores:
        raise PereneError(f"the set has no store {only}", fix=f"it has: {', '.join(manifest.stores)}", exit_code=ExitCode.USAGE)
    chosen = {name: kept for name, kept in manifest.stores.items() if only in {None, name}}
    unknown = [name for name, kept in chosen.items() if kept.kind not in RESTORERS or name not in stores]
    if unknown:
        raise PereneError(f"nothing here restores {', '.join(unknown)}", where=manifest.id, exit_code=ExitCode.CANNOT_TELL)
    servers = [place for place in to if is_server(place)]
    if len(servers) > 1 or (servers and sum(kept.content.kind == "postgres" for kept in chosen.values()) > 1):
        raise PereneError("one server takes the databases of one store", fix="name the store with --store", exit_code=ExitCode.USAGE)
    listed = repository.snapshots(set=manifest.id) if snapshots is None else snapshots
    there = {(one.tags.get("store"), one.tags.get("part")) for one in listed}
    missing = [f"{part.name} of {name}" for name, kept in chosen.items() for part in kept.parts if (name, part.name) not in there]
    if missing:
        raise PereneError(
            f"{', '.join(missing)} is not in the repository",
            where=f"{repository.url} {manifest.id}",
            why="the set is not whole any more",
            fix="restore another set (`perene repo list`), or bring the repository back (`perene repo rewind`)",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return {
        name: (
            RESTORERS[kept.kind],
            Job(
                name=name,
                kept=kept,
                live=stores[name],
                set_id=manifest.id,
                repository=repository,
                work=work,
                stages=stages,
                to=to,
                turn=turn,
                crossing=crossing or Crossing({}, work),
                listed={one.path: one for one in listed if one.tags.get("store") == name},
            ),
        )
        for name, kept in chosen.items()
    }
