"""One run makes one recovery set over all stores. The manifest is written last and read back; a failed store fails the set."""

import secrets as random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from perene.audit.chain import heads
from perene.audit.store import open_store
from perene.backup import files, lock, process, qdrant_snapshots, rabbitmq, redis, service
from perene.backup.places import open_place
from perene.backup.postgres import dump
from perene.backup.postgres.server import reach
from perene.backup.progress import Stages
from perene.backup.qdrant import Qdrant
from perene.backup.repository import Repository
from perene.backup.tier import login_with
from perene.contract.base import Document
from perene.contract.recovery_set import KeyProof, PostgresContent, RecoverySet, StoreSet
from perene.contract.tier import PostgresEndpoint, Store, TierDocument
from perene.custody.resolve import resolve
from perene.drill import canary
from perene.drill.scratch import scratch
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.version import VERSION

MANIFEST = "/manifest.json"
STAMP = "%Y%m%dT%H%M%SZ"
# The reason of a set that saves what is live before a restore takes its place: nothing that anybody wants back by default.
SAFETY = "pre-restore"


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


def _redis(job: Job) -> StoreSet:
    with service.reach(job.store, job.name, "dump", "admin") as (reached, _):
        return redis.backup(redis.connect(reached), repository=job.repository, set_id=job.set_id, store=job.name, stages=job.stages)


def _qdrant(job: Job) -> StoreSet:
    with service.reach(job.store, job.name, "dump", "admin") as (reached, _):
        server = Qdrant.at(reached)
        return qdrant_snapshots.backup(server, repository=job.repository, set_id=job.set_id, store=job.name, stages=job.stages)


def _rabbitmq(job: Job) -> StoreSet:
    """Definitions; the directory with its messages where the tier wants it, the broker is stopped, and its volume is mounted here."""
    root = Path(job.store.volume.mount_path) if job.store.volume else None
    with service.reach(job.store, job.name, "dump", "admin") as (reached, endpoint):
        if job.store.messages == "stopped" and root and root.is_dir() and not rabbitmq.answers(reached.host, reached.port):
            return rabbitmq.backup_stopped(root, repository=job.repository, set_id=job.set_id, store=job.name, stages=job.stages)
        broker = rabbitmq.Broker(
            url=reached.url(endpoint.management_port), user=reached.user or "", password=reached.password or "", ca=reached.ca
        )
        return rabbitmq.backup(
            broker,
            wanted=job.store.messages or "definitions",
            repository=job.repository,
            set_id=job.set_id,
            store=job.name,
            stages=job.stages,
        )


# One driver per store kind; the kind decides, nothing else. In the order in which a set takes them: what refers before what it refers to
# (messages and jobs name rows, rows name points and files), so that everything a copy names exists in the copies made after it.
DRIVERS: Mapping[str, Driver] = {
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "postgres": _postgres,
    "cloud-sql": _postgres,
    "qdrant": _qdrant,
    "files": _files,
}


def new_id(now: datetime, newest: str = "") -> str:
    """`20261124T010000Z-1a2b3c`: sorts by time. newest: an id that it follows even when the clock went back."""
    stamp = f"{now.astimezone(UTC):{STAMP}}"
    if stamp <= newest[:16]:
        stamp = f"{datetime.strptime(newest[:16], STAMP).replace(tzinfo=UTC) + timedelta(seconds=1):{STAMP}}"
    return f"{stamp}-{random.token_hex(3)}"


def make_set(
    tier: TierDocument,
    repository: Repository,
    *,
    stages: Stages,
    drivers: Mapping[str, Driver] = DRIVERS,
    now: datetime | None = None,
    with_canary: bool = True,
    reason: str = "",
    beat: float = lock.BEAT_SECONDS,
) -> RecoverySet:
    """Back up every store that has a logical way, and write the manifest. PereneError names every store that failed."""
    started = now or datetime.now(UTC)
    wanted = {name: store for name, store in tier.stores.items() if "logical" in store.backup.ways}
    with lock.writer(open_place(repository.url), "backup", stages, beat=beat):
        newest = max((snapshot.tags.get("set", "") for snapshot in repository.snapshots()), default="")
        set_id = new_id(started, newest)
        if f"{started.astimezone(UTC):{STAMP}}" < newest[:16]:
            stages.note(f"the clock says {started:%Y-%m-%d %H:%M}, and {newest} is newer: one of the two is wrong. This set follows it")
        # Beside the stores, because it mostly waits: a server is started and stopped.
        with ThreadPoolExecutor(1) as beside:
            canary_made = beside.submit(_canary, repository, set_id, stages.beside()) if with_canary else None
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
            canary=canary_made.result() if canary_made else None,
            key=_key(tier),
            audit=heads(open_store(repository.url)),
            versions={"perene": VERSION, "restic": process.version("restic")},
            reason=reason,
            every=_interval(tier, made),
        )
        write_manifest(manifest, repository)
        if not reason:
            publish(repository, "sets", set_id, manifest)
    for name, store in made.items():
        for warning in store.warnings:
            stages.note(f"{name}: {warning}")
    return manifest


def ensure_repository(repository: Repository, stages: Stages) -> None:
    """Make the repository where there is nothing at all. PereneError where parts of one are: a new one would hide its loss."""
    place = open_place(repository.url)
    if place.names("config"):
        return
    parts = [part for part in ("keys/", "data/", "index/", "snapshots/", "evidence/") if place.names(part)]
    if parts:
        raise PereneError(
            f"there is no repository, and something of one: {', '.join(parts)}",
            where=repository.url,
            why="it was deleted in part, or its volume went away while a backup was writing",
            fix="see docs/repository-lost.md; nothing is written here until its configuration is back, or the place is empty",
            exit_code=ExitCode.CANNOT_TELL,
        )
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
    order = list(DRIVERS)
    for name, store in sorted(wanted.items(), key=lambda entry: order.index(entry[1].kind)):
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
    sealed = {}
    for number, one in tier.encryption_key.generations.items():
        if one.sentinel is None:
            raise PereneError(
                "the tier document names no sentinel",
                why="no drill could prove the key",
                fix="bring the tier up again",
                exit_code=ExitCode.CANNOT_TELL,
            )
        if one.in_use:
            sealed[str(number)] = resolve(one.sentinel).hex()
    generation = tier.encryption_key.generation
    return KeyProof(generation=generation, sentinel=sealed.pop(str(generation)), earlier=sealed)


def _interval(tier: TierDocument, made: Mapping[str, StoreSet]) -> Literal["1d", "7d"]:
    """Until the set after this one: a week where the databases of any store took more than the plan's size (see cadence.py)."""
    above = tier.backups.weekly_above if tier.backups else None
    sizes = [sum(store.content.sizes.values()) for store in made.values() if isinstance(store.content, PostgresContent)]
    return "7d" if above is not None and any(size > above for size in sizes) else "1d"


def write_manifest(manifest: RecoverySet, repository: Repository, tags: Mapping[str, str] = MappingProxyType({})) -> None:
    """The last write of a set, read back and compared, with every part looked up once more. tags: more to be told of it."""
    text = manifest.to_json().encode()
    stored = {(snapshot.tags.get("store"), snapshot.path, snapshot.size) for snapshot in repository.snapshots(set=manifest.id)}
    for name, store in {**manifest.stores, **({"canary": manifest.canary} if manifest.canary else {})}.items():
        for part in store.parts:
            if not any((owner, path) == (name, part.path) or (part.name == "tree" and owner == name) for owner, path, _ in stored):
                raise PereneError(f"{part.path} of {name} is not in the repository after it was written", where=repository.url)
    told = {"set": manifest.id, "part": "manifest", "every": manifest.every, **tags}
    told |= {"reason": manifest.reason} if manifest.reason else {}
    snapshot = repository.backup_bytes(text, path=MANIFEST, tags=told)
    if repository.read(snapshot) != text:
        raise PereneError("the manifest reads back other than it was written", where=repository.url, fix="run `perene repo check`")
