"""One run makes one recovery set over all stores. The manifest is written last and read back; a failed store fails the set."""

import secrets as random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from perene.backup import files, lock, process
from perene.backup.places import open_place
from perene.backup.postgres import dump
from perene.backup.postgres.server import reach
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.tier import login_with
from perene.contract.base import Document
from perene.contract.recovery_set import KeyProof, RecoverySet, StoreSet
from perene.contract.tier import PostgresEndpoint, Store, TierDocument
from perene.custody.resolve import resolve
from perene.drill import canary
from perene.drill.scratch import scratch
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.version import VERSION

MANIFEST = "/manifest.json"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One store's part of a run."""

    name: str
    store: Store
    repository: Repository
    set_id: str
    stages: Stages


Driver = Callable[[Job], StoreSet]


def _postgres(job: Job) -> StoreSet:
    if not isinstance(job.store.endpoint, PostgresEndpoint):
        raise PereneError("the store has no PostgreSQL endpoint", where=job.name, exit_code=ExitCode.CANNOT_TELL)
    with reach(job.store.endpoint, login_with(job.store, job.name, "dump", "admin")) as server:
        kind: Literal["postgres", "cloud-sql"] = "cloud-sql" if job.store.kind == "cloud-sql" else "postgres"
        databases = tuple(job.store.databases)
        return dump.backup(server, databases, kind=kind, repository=job.repository, set_id=job.set_id, store=job.name, stages=job.stages)


def _files(job: Job) -> StoreSet:
    if job.store.volume is None:
        raise PereneError("the store has no volume", where=job.name, exit_code=ExitCode.CANNOT_TELL)
    root = Path(job.store.volume.mount_path)
    return files.backup(root, repository=job.repository, set_id=job.set_id, store=job.name, stages=job.stages)


# One driver per store kind; the kind decides, nothing else.
DRIVERS: Mapping[str, Driver] = {"postgres": _postgres, "cloud-sql": _postgres, "files": _files}


def new_id(now: datetime) -> str:
    """`20261124T010000Z-1a2b3c`: sorts by time, and two runs in one second differ."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random.token_hex(3)}"


def make_set(
    tier: TierDocument,
    repository: Repository,
    *,
    stages: Stages,
    drivers: Mapping[str, Driver] = DRIVERS,
    now: datetime | None = None,
    with_canary: bool = True,
    beat: float = lock.BEAT_SECONDS,
) -> RecoverySet:
    """Back up every store that has a logical way, and write the manifest. PereneError names every store that failed."""
    started = now or datetime.now(UTC)
    set_id = new_id(started)
    wanted = {name: store for name, store in tier.stores.items() if "logical" in store.backup.ways}
    with lock.writer(open_place(repository.url), "backup", stages, beat=beat):
        made, problems = _stores(wanted, repository, set_id, stages, drivers)
        if problems:
            raise PereneError(problems=problems)
        manifest = RecoverySet(
            id=set_id,
            stack=tier.stack,
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            tier=tier,
            stores=made,
            canary=_canary(repository, set_id, stages) if with_canary else None,
            key=_key(tier),
            versions={"perene": VERSION, "restic": process.version("restic")},
        )
        _seal(manifest, repository)
        publish(repository, "sets", set_id, manifest)
    for name, store in made.items():
        for warning in store.warnings:
            stages.note(f"{name}: {warning}")
    return manifest


def ensure_repository(repository: Repository, stages: Stages) -> None:
    """Make the repository where there is nothing at all; what holds a key or a configuration is never made anew."""
    place = open_place(repository.url)
    if not place.names("config") and not place.names("keys/"):
        stages.note(f"a new repository is made in {repository.url}: it was empty")
        repository.init()


def publish(repository: Repository, kind: str, name: str, document: Document) -> None:
    """A copy beside the repository, for those who watch and have no password: `evidence/sets/ID.json`, `evidence/drills/ID.json`."""
    open_place(repository.url).replace(f"evidence/{kind}/{name}.json", document.to_json().encode())


def _stores(
    wanted: Mapping[str, Store], repository: Repository, set_id: str, stages: Stages, drivers: Mapping[str, Driver]
) -> tuple[dict[str, StoreSet], list[Problem]]:
    made: dict[str, StoreSet] = {}
    problems: list[Problem] = []
    for name, store in wanted.items():
        try:
            if store.kind not in drivers:
                raise PereneError(f"there is no backup driver for {store.kind}", where=name, exit_code=ExitCode.CANNOT_TELL)
            made[name] = drivers[store.kind](Job(name=name, store=store, repository=repository, set_id=set_id, stages=stages))
        except PereneError as failure:
            problems += [
                Problem(what=problem.what, where=f"store {name}, {problem.where}", why=problem.why, fix=problem.fix)
                for problem in failure.problems
            ]
    return made, problems


def _canary(repository: Repository, set_id: str, stages: Stages) -> StoreSet:
    with scratch() as server:
        canary.make(server, set_id)
        return dump.backup(server, (canary.DATABASE,), kind="postgres", repository=repository, set_id=set_id, store="canary", stages=stages)


def _key(tier: TierDocument) -> KeyProof | None:
    """The sentinel that custody made once. The backup copies it and never reads the key."""
    if tier.encryption_key is None:
        return None
    sealed = tier.encryption_key.sentinel
    if sealed is None:
        raise PereneError(
            "the tier document names no sentinel",
            why="no drill could prove the key",
            fix="bring the tier up again",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return KeyProof(generation=tier.encryption_key.generation, sentinel=resolve(sealed).hex())


def _seal(manifest: RecoverySet, repository: Repository) -> None:
    """The last write of the run, read back and compared, with every part looked up once more."""
    text = manifest.to_json().encode()
    stored = {(snapshot.tags.get("store"), snapshot.path, snapshot.size) for snapshot in repository.snapshots(set=manifest.id)}
    for name, store in {**manifest.stores, **({"canary": manifest.canary} if manifest.canary else {})}.items():
        for part in store.parts:
            if not any((owner, path) == (name, part.path) or (part.name == "tree" and owner == name) for owner, path, _ in stored):
                raise PereneError(f"{part.path} of {name} is not in the repository after it was written", where=repository.url)
    snapshot = repository.backup_bytes(text, path=MANIFEST, tags={"set": manifest.id, "part": "manifest"})
    if repository.read(snapshot) != text:
        raise PereneError("the manifest reads back other than it was written", where=repository.url, fix="run `perene repo check`")
