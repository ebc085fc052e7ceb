"""Bringing a set back into a new place and comparing it: one store after the other, nothing written over, differences by name."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from perene.backup import tree
from perene.backup.postgres.server import Server, reach
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.tier import login_with
from perene.contract.drill import CheckResult, Difference, StoreResult
from perene.contract.recovery_set import FilesContent, PostgresContent, RecoverySet, StoreSet
from perene.contract.tier import Check, PostgresEndpoint, Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare, postgres

# A fetched dump and what pg_restore writes lie side by side for a while; a tenth more for what a file system takes.
MARGIN = 1.1
Naming = Callable[[str], str]


def postgres_store(
    server: Server,
    *,
    name: str,
    store: StoreSet,
    set_id: str,
    repository: Repository,
    work: Path,
    stages: Stages,
    checks: tuple[Check, ...] = (),
    naming: Naming = lambda database: database,
) -> StoreResult:
    """Every database of a store into `server`. naming: how a database is called there; work: room for the largest dump."""
    content = store.content
    if not isinstance(content, PostgresContent):
        raise PereneError(f"{name} holds no PostgreSQL content", exit_code=ExitCode.CANNOT_TELL)
    seconds = {"fetch": 0.0, "restore": 0.0, "compare": 0.0}
    differences: list[Difference] = []
    results: list[CheckResult] = []
    postgres.ensure_roles(server, content.roles)
    for part in store.parts:
        room_for(part.bytes, work)
        target = naming(part.name)
        with tempfile.TemporaryDirectory(dir=work, prefix="perene-restore-") as folder:
            dump = Path(folder) / "dump"
            with _timed(seconds, "fetch"), stages.stage("fetch", f"{name}/{part.name}", part.bytes) as progress:
                progress(repository.fetch(repository.find(part.path, set=set_id, store=name), dump))
            timescale = content.databases[part.name].extensions.get("timescaledb")
            with _timed(seconds, "restore"), stages.stage("restore", f"{name}/{part.name}"):
                postgres.create(server, target, content.records[part.name], set_id)
                postgres.fill(server, dump, target, timescale=timescale)
                postgres.finish(server, target, content.records[part.name], set_id)
        with _timed(seconds, "compare"), stages.stage("compare", f"{name}/{part.name}"):
            differences += postgres.compared(server, target, part.name, content)
            results += postgres.checked(server, target, checks, part.name)
        if timescale:
            postgres.wake_timescale(server, target)
    return StoreResult(
        differences=tuple(differences),
        checks=tuple(results),
        seconds={stage: round(value, 3) for stage, value in seconds.items()},
        bytes=sum(part.bytes for part in store.parts),
    )


def files_store(target: Path, *, name: str, store: StoreSet, set_id: str, repository: Repository, stages: Stages) -> StoreResult:
    """A tree of files into a new directory. Files that changed while they were read are left out of the comparison."""
    content = store.content
    if not isinstance(content, FilesContent):
        raise PereneError(f"{name} holds no files", exit_code=ExitCode.CANNOT_TELL)
    if target.exists():
        raise PereneError(
            "the directory exists already", where=str(target), why="a restore never writes over anything", fix="name another one with --to"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    room_for(content.bytes, target.parent)
    seconds = {"restore": 0.0, "compare": 0.0}
    trees = [one for one in repository.snapshots(set=set_id, store=name) if one.tags.get("part") == "tree"]
    if not trees:
        raise PereneError(f"the tree of {name} is not in the repository", where=repository.url, exit_code=ExitCode.CANNOT_TELL)
    with _timed(seconds, "restore"), stages.stage("restore", name, content.bytes):
        repository.fetch_tree(trees[-1], target)
    with _timed(seconds, "compare"), stages.stage("compare", name), tempfile.TemporaryFile("w+", encoding="ascii") as found:
        listing = tree.write(target, found)
        there = FilesContent(entries=listing.entries, bytes=listing.bytes, hash=listing.hash)
        differences = compare.files(content, there)
        if differences:
            found.seek(0)
            recorded = repository.read(repository.find(f"/{name}.listing", set=set_id, store=name)).decode()
            named = compare.listings(_entries(recorded.splitlines(), content.changed), _entries(found, content.changed))
            differences = named or (() if content.changed else differences)
    return StoreResult(differences=differences, checks=(), seconds={k: round(v, 3) for k, v in seconds.items()}, bytes=content.bytes)


def beside(
    manifest: RecoverySet, repository: Repository, *, only: str | None, to: Path | None, work: Path, stages: Stages
) -> dict[str, StoreResult]:
    """Each store into a new place beside the live one: databases as `NAME__SETDATE`, files below `to`."""
    chosen = {name: store for name, store in manifest.stores.items() if only in {None, name}}
    if not chosen:
        raise PereneError(f"the set has no store {only}", fix=f"it has: {', '.join(manifest.stores)}", exit_code=ExitCode.USAGE)
    stamp = manifest.id.split("-")[0].lower()
    results = {}
    for name, store in chosen.items():
        live = manifest.tier.stores[name]
        if store.content.kind == "files":
            if to is None:
                raise PereneError(f"{name} is files: name a directory with --to", exit_code=ExitCode.USAGE)
            results[name] = files_store(to / name, name=name, store=store, set_id=manifest.id, repository=repository, stages=stages)
            continue
        with administered(live, name) as server:
            results[name] = postgres_store(
                server,
                name=name,
                store=store,
                set_id=manifest.id,
                repository=repository,
                work=work,
                stages=stages,
                checks=live.checks,
                naming=lambda database: f"{database[:45]}__{stamp}",
            )
    return results


@contextmanager
def administered(store: Store, name: str) -> Iterator[Server]:
    """A store's server as its administrator."""
    if not isinstance(store.endpoint, PostgresEndpoint):
        raise PereneError("the store has no PostgreSQL endpoint", where=name, exit_code=ExitCode.CANNOT_TELL)
    with reach(store.endpoint, login_with(store, name, "admin")) as server:
        yield server


def room_for(size: int, folder: Path) -> None:
    """PereneError (exit 3) when a file of this size would not fit."""
    free = shutil.disk_usage(folder).free
    if free < size * MARGIN:
        raise PereneError(
            f"{size / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free",
            where=str(folder),
            why="pg_restore needs the whole dump as a file, and a full disk would stop it half-way",
            fix="name a directory with more room (--work)",
            exit_code=ExitCode.CANNOT_TELL,
        )


def _entries(lines: Iterable[str], changed: tuple[str, ...]) -> Mapping[str, str]:
    pairs = (line.rstrip("\n").split(" ", 1) for line in lines)
    return {name: rest for name, rest in pairs if name not in changed}


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.monotonic()
    try:
        yield
    finally:
        seconds[stage] += time.monotonic() - begin
