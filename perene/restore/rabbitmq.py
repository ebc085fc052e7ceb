"""A RabbitMQ back: its definitions into an empty broker; messages only as the whole directory, under the same path and node name.

Under another node name the broker starts empty beside the old directory, or not at all; under another path quorum and stream queues
stay down, because their configuration holds the path.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perene.backup.rabbitmq import Broker, fingerprint
from perene.contract.drill import CheckResult, Difference, StoreResult
from perene.contract.recovery_set import FilesContent, ItemsContent
from perene.drill.damage_stores import FILES, RABBITMQ, prove
from perene.drill.scratch_rabbitmq import Place
from perene.drill.scratch_rabbitmq import scratch as broker_of_ones_own
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare, trees
from perene.restore.items import content_of, fetched
from perene.restore.job import Job, Outcome

# Queues are declared, and their messages counted, some seconds after an answer says so.
POLL_SECONDS = 60.0
# Of the kinds of damage to a file; one byte may lie in a field that no broker reads, and restic has its own hash of the whole.
TEXT = ("a copy without its last bytes", "an empty copy")


def scratch(job: Job) -> StoreResult:
    """Definitions into a broker of its own, which is gone afterwards; a directory with messages is compared file by file."""
    if isinstance(job.kept.content, FilesContent):
        return trees.scratch(job)
    with broker_of_ones_own(job.work) as broker:
        return into(broker, job, without=broker.user)


def beside(job: Job) -> StoreResult:
    """A directory with messages into the place that it came from, which must be empty."""
    if not isinstance(job.kept.content, FilesContent):
        raise PereneError(
            f"the definitions of {job.name} cannot lie beside themselves in one broker",
            why="users, virtual hosts and queues have one name only",
            fix="a drill proves them in a broker of its own (`perene drill`); importing them adds what is missing and removes nothing",
            exit_code=ExitCode.USAGE,
        )
    node, path = job.kept.position.split(" ", 1)
    same_place(Place(node, Path(path)), job.directory)
    return trees.into(Path(path), job)


def same_place(recorded: Place, target: Path | None) -> None:
    """PereneError (exit 3) unless messages go back to where they were."""
    if target is not None and target != recorded.data:
        raise PereneError(
            f"these messages come back in {recorded.data} only, not in {target}",
            where=str(target),
            why="quorum and stream queues hold their absolute path: elsewhere they stay down, and their messages are not read",
            fix=f"mount an empty volume at {recorded.data}, and start the broker there as {recorded.node}",
            exit_code=ExitCode.CANNOT_TELL,
        )


def into(broker: Broker, job: Job, *, without: str = "") -> StoreResult:
    """Definitions into a broker: what is missing is added, nothing is removed. without: the own user of a scratch broker."""
    outcome, expected = Outcome(), content_of(job)
    with fetched(job, outcome) as files:
        with outcome.timed("restore"), job.stages.stage("restore", job.name):
            broker.ask("POST", "/api/definitions", json=_read(files["definitions"]), seconds=600)
        with outcome.timed("compare"), job.stages.stage("compare", job.name):
            found = settled(lambda: fingerprint(broker.definitions(), without=without), expected)
            outcome.differences += compare.items(expected, found)
            wanted = {f"{check.database or '/'}/{check.count}": check.at_least for check in job.live.checks}
            outcome.checks += counted(broker, wanted)
        if job.turn is not None:
            kinds = {**RABBITMQ, **{kind: FILES[kind] for kind in TEXT}}
            outcome.damage = prove(job.turn, kinds, lambda kind: _damaged(kind, broker, files["definitions"], expected, without))
    return outcome.result(sum(part.bytes for part in job.kept.parts))


def _read(definitions: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(definitions.read_bytes())
    except ValueError as broken:
        raise PereneError("the definitions are no JSON document", why=str(broken), fix="take another set") from None
    return document


def _damaged(kind: str, broker: Broker, definitions: Path, expected: ItemsContent, without: str) -> tuple[Difference, ...]:
    if kind in FILES:
        FILES[kind](definitions)
        return compare.items(expected, fingerprint(_read(definitions), without=without))
    RABBITMQ[kind](broker)
    return compare.items(expected, fingerprint(broker.definitions(), without=without))


def settled(read: Callable[[], ItemsContent], expected: ItemsContent, seconds: float = POLL_SECONDS) -> ItemsContent:
    """Read until it is what is expected, or for so long; the last reading."""
    until = time.monotonic() + seconds
    while (found := read()) != expected and time.monotonic() < until:
        time.sleep(0.5)
    return found


def counted(broker: Broker, wanted: dict[str, int], seconds: float = POLL_SECONDS) -> tuple[CheckResult, ...]:
    """Messages in queues (`vhost/queue` -> at least), asked until they are there: quorum queues count 0 at first."""
    until = time.monotonic() + seconds
    while True:
        there = broker.messages()
        results = tuple(CheckResult(count=name, at_least=least, found=there.get(name, -1)) for name, least in wanted.items())
        if all(one.found >= one.at_least for one in results) or time.monotonic() > until:
            return results
        time.sleep(0.5)
