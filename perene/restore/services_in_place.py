"""A Redis, Qdrant or RabbitMQ in the place of one that has lost its volume: into the tier's own server, which must hold nothing.

Such a server has one content only: nothing lies beside it and no names are exchanged. So what is there is never written over (a
RabbitMQ's definitions are saved and added to), and what an earlier run has brought back is recognised by its content.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from perene.backup import service
from perene.backup.qdrant import Qdrant, fingerprint, path_of
from perene.backup.rabbitmq import Broker
from perene.backup.redis import connect
from perene.backup.service import Service
from perene.contract.drill import StoreResult
from perene.contract.recovery_set import ItemsContent, StoreSet
from perene.contract.tier import Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import qdrant, rabbitmq, redis
from perene.restore.job import Job, Target


@dataclass(frozen=True)
class Kind:
    """How a kind of server is filled.

    held: what it holds, in words, empty for nothing; same: whether that is what the set holds; fill: bring the set back, and compare.
    """

    held: Callable[[Service], str]
    same: Callable[[Service, StoreSet], bool]
    fill: Callable[[Service, Job], StoreResult]


@contextmanager
def open_store(target: Target) -> Iterator["Server"]:
    """The store's server, as its administrator."""
    with service.reach(target.live, target.name, "admin") as (reached, endpoint):
        if target.live.kind == "rabbitmq":
            yield Definitions(target, replace(reached, port=endpoint.management_port or 0))
        else:
            yield Server(target, reached)


@dataclass(frozen=True)
class Server:
    """See `perene.restore.job.InPlace`."""

    target: Target
    reached: Service

    def look(self, kept: StoreSet) -> Store | None:
        """Refuses a server that holds anything else than what the set would bring."""
        kind = KINDS[kept.kind]
        held = kind.held(self.reached)
        if held and not kind.same(self.reached, kept):
            raise PereneError(
                f"{self.target.name} holds {held}",
                where=self.reached.host,
                why="it has one content only, and a restore never writes over anything (a broken-off one leaves a part)",
                fix="bring it back elsewhere (--to) and look; or give this one an empty volume (docs/backups.md), then the same command",
                exit_code=ExitCode.CANNOT_TELL,
            )
        return None

    def prepare(self, job: Job) -> StoreResult:
        """Into the server at once, and compared there."""
        return KINDS[job.kept.kind].fill(self.reached, job)

    def in_use(self) -> list[str]:
        """It does not say which of its clients are applications."""
        return []

    def exchange(self) -> None:
        """What was restored is live already."""

    def back(self) -> None:
        """Nothing was live before: what was restored stays."""

    def finish(self) -> None:
        """Nothing is set aside."""


class Definitions(Server):
    """A RabbitMQ is never without definitions: they are saved, and what is missing is added to them."""

    def look(self, kept: StoreSet) -> Store | None:
        """PereneError (exit 3) for a set with messages: they come back as a stopped broker's directory."""
        if not isinstance(kept.content, ItemsContent):
            raise PereneError(
                f"the set has the directory of {self.target.name} with its messages",
                why="a running broker takes definitions only",
                fix="restore it into the broker's empty volume while it is stopped (docs/backups.md)",
                exit_code=ExitCode.CANNOT_TELL,
            )
        return self.target.live

    def prepare(self, job: Job) -> StoreResult:
        """Into the running broker."""
        broker = Broker(url=self.reached.url(), user=self.reached.user or "", password=self.reached.password or "", ca=self.reached.ca)
        return rabbitmq.into(broker, job)


def _points(reached: Service) -> str:
    server = Qdrant.at(reached)
    filled = [name for name in server.collections() if next(server.points(name, vectors=False), None)]
    return f"points in {', '.join(filled)}" if filled else ""


def _fill(reached: Service, job: Job) -> StoreResult:
    server, filled = Qdrant.at(reached), bool(_points(reached))
    # Collections without a point: the application's set-up has made them since.
    if not filled:
        for name in server.collections():
            server.ask("DELETE", path_of(name))
    return qdrant.into(server, job, filled=filled)


# One way per kind of server without names that could be exchanged.
KINDS: Mapping[str, Kind] = {
    "redis": Kind(
        held=lambda reached: redis.held(connect(reached)),
        same=lambda reached, kept: redis.same(connect(reached), kept),
        fill=lambda reached, job: redis.into(connect(reached), job),
    ),
    "qdrant": Kind(
        held=_points,
        same=lambda reached, kept: fingerprint(Qdrant.at(reached)) == kept.content,
        fill=_fill,
    ),
}
