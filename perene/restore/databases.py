"""A PostgreSQL store back: each of its databases into a server, compared there."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from perene.backup.postgres.server import Server, of_uri, reach
from perene.backup.tier import login_with
from perene.contract.drill import StoreResult
from perene.contract.recovery_set import Part, PostgresContent
from perene.contract.tier import PostgresEndpoint, Store
from perene.drill.scratch import LOG
from perene.drill.scratch import scratch as scratch_server
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import filling, postgres, timescale
from perene.restore.job import Job, Outcome, is_server, room_for
from perene.restore.marks import ADMINISTRATION

Naming = Callable[[str], str]


def beside(job: Job) -> StoreResult:
    """Each database as `NAME__SETDATE` on the tier's own server, or under its own name on a server that was named."""
    for uri in job.to:
        if is_server(uri):
            return into(of_uri(uri), job, lambda database: database)
    with administered(job.name, job.live) as server:
        with server.connect(ADMINISTRATION, autocommit=True) as admin:
            postgres.room_on(admin, _size(job), job.name)
        return into(server, job, lambda database: f"{database[:45]}__{job.stamp}")


def scratch(job: Job) -> StoreResult:
    """Into a server of its own, which is gone afterwards."""
    size = _size(job)
    # What is loaded by several connections goes through the log too.
    room_for(size + min(size, LOG), job.work)
    with scratch_server(job.work, timescale.settings(job.kept.content)) as server:
        return into(server, job, lambda database: database)


def _size(job: Job) -> int:
    return postgres.size_of(job.kept, {part.name for part in job.kept.parts})


def into(server: Server, job: Job, naming: Naming, *, complete: frozenset[str] = frozenset()) -> StoreResult:
    """Every database of a store into `server`.

    naming: how a database is called there; complete: what is there already and is only compared.
    """
    content = job.kept.content
    if not isinstance(content, PostgresContent):
        raise PereneError(f"{job.name} holds no PostgreSQL content", exit_code=ExitCode.CANNOT_TELL)
    outcome = Outcome()
    postgres.ensure_roles(server, content.roles)
    for part in job.kept.parts:
        target, subject = naming(part.name), f"{job.name}/{part.name}"
        if part.name not in complete:
            _fill(server, job, part, content, target=target, outcome=outcome)
        with outcome.timed("compare"), job.stages.stage("compare", subject):
            outcome.differences += postgres.compared(server, target, part.name, content)
            outcome.checks += postgres.checked(server, target, job.live.checks, part.name)
            job.crossing.take_rows(job.name, server, part.name, target)
        if jobs := timescale.asleep(server, target):
            job.stages.note(f"TimescaleDB's jobs {', '.join(jobs)} sleep in {target}: a retention policy would delete what came back")
    outcome.not_compared = postgres.not_compared(server, content)
    return outcome.result(sum(part.bytes for part in job.kept.parts))


def _fill(server: Server, job: Job, part: Part, whole: PostgresContent, *, target: str, outcome: Outcome) -> None:
    subject, record = f"{job.name}/{part.name}", whole.records[part.name]
    version = whole.databases[part.name].extensions.get("timescaledb")
    if version is not None:
        room_for(part.bytes, job.work)
    with (
        tempfile.TemporaryDirectory(dir=job.work, prefix="perene-restore-") as folder,
        outcome.timed("restore"),
        job.stages.stage("restore", subject, part.bytes) as progress,
        job.repository.fetching(job.snapshot(part.path)) as dump,
    ):
        postgres.create(server, target, record, job.set_id)
        filling.fill(server, dump, target, folder=Path(folder), timescale=version, progress=progress)
        postgres.finish(server, target, record, job.set_id)


@contextmanager
def administered(name: str, live: Store) -> Iterator[Server]:
    """A store's server, as its administrator."""
    if not isinstance(live.endpoint, PostgresEndpoint):
        raise PereneError("the store has no PostgreSQL endpoint", where=name, exit_code=ExitCode.CANNOT_TELL)
    with reach(live.endpoint, login_with(live, name, "admin")) as server:
        yield server
