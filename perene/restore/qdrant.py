"""A Qdrant back: its collections and aliases into an empty server, and compared there, point by point."""

from perene.backup import qdrant_snapshots as snapshots
from perene.backup.qdrant import Qdrant, fingerprint, path_of
from perene.contract.drill import CheckResult, Difference, StoreResult
from perene.contract.recovery_set import ItemsContent
from perene.drill.damage_stores import FILES, QDRANT, prove
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare
from perene.restore.items import content_of, fetched
from perene.restore.job import Job, Outcome


def scratch(job: Job) -> StoreResult:
    """Into a server of its own, which is gone afterwards."""
    with snapshots.scratch(job.work) as server:
        return into(server, job)


def beside(job: Job) -> StoreResult:
    """Into another, empty server, named with --to: collections keep their names, so nothing can lie beside them in the same one."""
    url = next((one for one in job.to if one.startswith(("http://", "https://"))), None)
    if url is None:
        raise PereneError(
            f"{job.name} is a Qdrant: name an empty server with --to http://HOST:PORT",
            why="collections come back under their own names, and a restore never writes over anything",
            exit_code=ExitCode.USAGE,
        )
    server = Qdrant(url=url.rstrip("/"))
    snapshots.writable(server)
    return into(server, job)


def into(server: Qdrant, job: Job, *, filled: bool = False) -> StoreResult:
    """Every collection and alias of a set into `server`. filled: they are there already, and are only compared."""
    outcome, expected = Outcome(), content_of(job)
    snapshots.same_or_next_minor(job.kept.version, server.version())
    with fetched(job, outcome) as files:
        taken = snapshots.Snapshots.of_parts(files)
        if not filled:
            with outcome.timed("restore"), job.stages.stage("restore", job.name):
                snapshots.put(server, taken)
        with outcome.timed("compare"), job.stages.stage("compare", job.name):
            found = fingerprint(server)
            outcome.differences += compare.items(expected, found)
            for check in job.live.checks:
                points = found.items.get(f"points of {taken.aliases.get(check.count, check.count)}")
                outcome.checks.append(CheckResult(count=check.count, at_least=check.at_least, found=points.rows if points else -1))
            job.crossing.take_points(job.name, server)
        if job.turn is not None:
            kinds = {**QDRANT, **(FILES if taken.files else {})}
            outcome.damage = prove(job.turn, kinds, lambda kind: _damaged(kind, server, taken, expected))
    return outcome.result(sum(part.bytes for part in job.kept.parts))


def _damaged(kind: str, server: Qdrant, taken: snapshots.Snapshots, expected: ItemsContent) -> tuple[Difference, ...]:
    if kind in QDRANT:
        QDRANT[kind](server)
        return compare.items(expected, fingerprint(server))
    name = next(iter(taken.files))
    FILES[kind](taken.files[name])
    server.ask("DELETE", path_of(name))
    snapshots.put(server, snapshots.Snapshots({name: taken.files[name]}, taken.checksums, {}))
    return ()
