"""A Redis back: into a copy of our own to be compared, or into a data directory from which any later start reads just that.

An RDB beside an append-only file is ignored, and without one a server with `appendonly yes` starts empty and overwrites it at its end.
So the snapshot becomes both: `dump.rdb`, and the base of a new append-only file with its manifest.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis as client_library

from perene.backup import redis
from perene.contract.drill import CheckResult, Difference, StoreResult
from perene.contract.recovery_set import ItemsContent, StoreSet
from perene.drill.damage_stores import FILES, REDIS, prove
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare
from perene.restore.items import content_of, fetched
from perene.restore.job import Job, Outcome

DIRECTORY, FILE, DUMP = "appendonlydir", "appendonly.aof", "dump.rdb"


def scratch(job: Job) -> StoreResult:
    """Into a Redis of its own, which is gone afterwards."""
    outcome = Outcome()
    with fetched(job, outcome) as files:
        dump = files["rdb"]
        with _compared(dump, job, outcome) as copy:
            if job.turn is not None:
                outcome.damage = prove(job.turn, {**REDIS, **FILES}, lambda kind: _damaged(kind, copy, dump, content_of(job)))
    return outcome.result(sum(part.bytes for part in job.kept.parts))


def beside(job: Job) -> StoreResult:
    """As a data directory `DIRECTORY/STORE`, compared before it is laid down; a server is then started on it."""
    if job.directory is None:
        raise PereneError(
            f"{job.name} is a Redis: name a directory with --to",
            why="it has one content only, so nothing can lie beside it in the same server",
            fix="start a server on the directory afterwards, or mount it as the store's volume",
            exit_code=ExitCode.USAGE,
        )
    outcome, target = Outcome(), job.directory / job.name
    if target.exists():
        raise PereneError("the directory exists already", where=str(target), why="a restore never writes over anything")
    with fetched(job, outcome) as files:
        with _compared(files["rdb"], job, outcome):
            pass
        with outcome.timed("restore"):
            target.mkdir(parents=True)
            lay(files["rdb"], target, aside=job.stamp)
    return outcome.result(sum(part.bytes for part in job.kept.parts))


@contextmanager
def _compared(dump: Path, job: Job, outcome: Outcome) -> Iterator[client_library.Redis]:
    with ExitStack() as running:
        with outcome.timed("compare"), job.stages.stage("compare", job.name):
            redis.check(dump)
            copy = running.enter_context(redis.reading(dump, job.work))
            outcome.differences += compare.items(content_of(job), redis.fingerprint(copy))
            outcome.checks += (
                CheckResult(count=check.count, at_least=check.at_least, found=redis.count(copy, check.count, check.database or "0"))
                for check in job.live.checks
            )
        yield copy


def _damaged(kind: str, copy: client_library.Redis, dump: Path, expected: ItemsContent) -> tuple[Difference, ...]:
    if kind in FILES:
        FILES[kind](dump)
        redis.check(dump)
        return ()
    copy.config_set("replica-read-only", "no")
    REDIS[kind](copy)
    return compare.items(expected, redis.fingerprint(copy))


def lay(dump: Path, directory: Path, *, aside: str, names: tuple[str, str, str] = (DIRECTORY, FILE, DUMP)) -> tuple[Path, ...]:
    """Make a snapshot the content of a data directory whose server is stopped; what was there is moved aside, and where to is returned.

    names: `appenddirname`, `appendfilename` and `dbfilename` of the server's configuration; aside: a word for the names of what was there.
    """
    folder, file, target = directory / names[0], names[1], directory / names[2]
    moved = []
    for old in (folder, target):
        if old.exists():
            moved.append(old.rename(old.with_name(f"{old.name}.before-{aside}")))
    folder.mkdir()
    # A copy each: the server writes the one over with its next snapshot, and removes the other with its next rewrite.
    shutil.copyfile(dump, target)
    shutil.copyfile(dump, folder / f"{file}.1.base.rdb")
    (folder / f"{file}.manifest").write_text(f"file {file}.1.base.rdb seq 1 type b\n")
    return tuple(moved)


def held(running: client_library.Redis) -> str:
    """What a running server holds, in words; empty for nothing."""
    with redis.named("the server"):
        spaces: dict[str, dict[str, int]] = running.info("keyspace")
    keys = sum(space["keys"] for space in spaces.values())
    return f"{keys} keys" if keys else ""


def same(running: client_library.Redis, kept: StoreSet) -> bool:
    """Whether a running server holds what a set does, but for keys whose time is over by now."""
    return isinstance(kept.content, ItemsContent) and not _differences(running, kept.content, Path(tempfile.gettempdir()))


def into(running: client_library.Redis, job: Job) -> StoreResult:
    """Into a running server that is empty, key by key from a copy of the snapshot; what is there then is fetched as one and compared."""
    outcome = Outcome()
    with fetched(job, outcome) as files, _compared(files["rdb"], job, outcome) as copy:
        with outcome.timed("restore"), job.stages.stage("restore", job.name), redis.named(job.name):
            if not held(running):
                _fill(running, copy)
        with outcome.timed("compare"), job.stages.stage("compare", job.name):
            outcome.differences += _differences(running, content_of(job), job.work)
    outcome.not_compared = ("keys that expire: by the clock they leave a running server",)
    return outcome.result(sum(part.bytes for part in job.kept.parts))


def _fill(running: client_library.Redis, copy: client_library.Redis) -> None:
    """Every key with its time, and the libraries. A client of one thread has one connection, so a database chosen on it stays chosen."""
    for name in copy.info("keyspace"):
        for client in (copy, running):
            redis.ask(client, "SELECT", name.removeprefix("db"))
        for keys in redis.pieces(copy):
            reading, writing = copy.pipeline(transaction=False), running.pipeline(transaction=False)
            for key in keys:
                reading.dump(key)
                redis.ask(reading, "PEXPIRETIME", key)
            answers = reading.execute()
            for key, value, until in zip(keys, answers[::2], answers[1::2], strict=True):
                if value is not None:  # else its time is over
                    writing.restore(key, max(until, 0), value, absttl=until > 0, replace=True)
            writing.execute()
    for client in (copy, running):
        redis.ask(client, "SELECT", 0)
    redis.ask(running, "FUNCTION", "RESTORE", redis.ask(copy, "FUNCTION", "DUMP"), "REPLACE")


def _differences(running: client_library.Redis, expected: ItemsContent, work: Path) -> tuple[Difference, ...]:
    with tempfile.TemporaryDirectory(dir=work, prefix="perene-redis-") as folder:
        dump = Path(folder) / "fetched.rdb"
        with redis.named("the server"):
            redis.settled(running)
            redis.fetch(running, dump)
        with redis.reading(dump, work) as there:
            return compare.items(_lasting(expected), _lasting(redis.fingerprint(there)))


def _lasting(content: ItemsContent) -> ItemsContent:
    """Without what changes by the clock alone."""
    expiring = any(name.endswith(" expiring") for name in content.items)
    left_out = {"everything"} if expiring else set()
    return ItemsContent(items={name: one for name, one in content.items.items() if name not in left_out and not name.endswith(" expiring")})


def replace(
    running: client_library.Redis, dump: Path, directory: Path, *, aside: str, start: Callable[[], client_library.Redis]
) -> client_library.Redis:
    """Put a snapshot in the place of a running server's content. start: starts the server again on `directory`, by its own configuration.

    The server is stopped first, and without saving: a SHUTDOWN later would write what it has in memory over what is laid down.
    """
    redis.check(dump)
    with redis.named(str(directory)):
        config = {name: str(value) for name, value in running.config_get("appenddirname", "appendfilename", "dbfilename").items()}
        running.shutdown(nosave=True)
    lay(dump, directory, aside=aside, names=(config["appenddirname"], config["appendfilename"], config["dbfilename"]))
    return start()
