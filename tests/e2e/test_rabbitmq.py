"""RabbitMQ for real: definitions round trip, and what becomes of messages under another path or node name (measured on 3.10 and later)."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup import rabbitmq
from perene.backup.progress import Stages
from perene.backup.rabbitmq import Broker
from perene.backup.repository import Repository
from perene.contract.recovery_set import ItemsContent
from perene.contract.tier import Goals, Store, StoreBackup
from perene.drill.damage_stores import RABBITMQ
from perene.drill.scratch_rabbitmq import PROGRAM, Place, scratch
from perene.errors import PereneError
from perene.restore import rabbitmq as restore
from perene.restore.job import Job
from tests.backup.conftest import empty_repository, repository

__all__ = ["empty_repository", "repository"]
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="not installed: rabbitmq-server")
LIVE = Store(
    kind="rabbitmq", generation=1, version="4", backup=StoreBackup(ways=("logical",)), goals=Goals(rpo="24h", rto="1h"), guarded=False
)
QUEUES = {"classic": {"x-queue-type": "classic"}, "quorum": {"x-queue-type": "quorum"}, "stream": {"x-queue-type": "stream"}}


@pytest.fixture
def work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


def filled(broker: Broker, messages: int = 5) -> None:
    broker.ask("PUT", "/api/users/app", json={"password": "a password for tests", "tags": "monitoring"})
    broker.ask("PUT", "/api/permissions/%2F/app", json={"configure": "", "write": ".*", "read": ".*"})
    broker.ask("PUT", "/api/policies/%2F/limit", json={"pattern": "^c", "definition": {"max-length": 1000}})
    broker.ask("PUT", "/api/exchanges/%2F/in", json={"type": "topic", "durable": True})
    for name, arguments in QUEUES.items():
        broker.ask("PUT", f"/api/queues/%2F/{name}", json={"durable": True, "arguments": arguments})
        broker.ask("POST", f"/api/bindings/%2F/e/in/q/{name}", json={"routing_key": name})
        for number in range(messages):
            body = {"properties": {"delivery_mode": 2}, "routing_key": name, "payload": str(number), "payload_encoding": "string"}
            assert broker.ask("POST", "/api/exchanges/%2F/in/publish", json=body)["routed"]


def prepared(broker: Broker, messages: int = 5) -> None:
    broker.ask("PUT", "/api/vhosts/%2F")
    broker.ask("PUT", f"/api/permissions/%2F/{broker.user}", json={"configure": ".*", "write": ".*", "read": ".*"})
    filled(broker, messages)


WANTED = {f"//{name}": 5 for name in QUEUES}


def test_definitions_come_back_whole_and_messages_are_said_to_be_left_out(work: Path, repository: Repository) -> None:
    quiet = Stages(io.StringIO(), live=False)
    with scratch(work) as broker:
        prepared(broker)
        restore.counted(broker, WANTED)
        made = rabbitmq.backup(broker, wanted="definitions", repository=repository, set_id="one", store="events", stages=quiet)
    assert any("15 messages are not in the set" in warning for warning in made.warnings)
    assert isinstance(made.content, ItemsContent)
    named = {"user app", "permission / app", "policie / limit", "queue / quorum", "binding / in queue stream stream"}
    assert named <= made.content.items.keys()
    job = Job(name="events", kept=made, live=LIVE, set_id="one", repository=repository, work=work, stages=quiet)
    result = restore.scratch(job)
    assert [str(one) for one in result.differences] == []


@pytest.fixture
def stopped(work: Path) -> tuple[Place, tuple[str, str]]:
    """The directory of a broker that was stopped with five messages in each queue, and its administrator."""
    place = Place("rabbit@events-0", work / "events")
    with scratch(work, place, kill=False) as broker:
        prepared(broker)
        assert all(one.found == 5 for one in restore.counted(broker, WANTED))
        return place, (broker.user, broker.password)


def counts(work: Path, place: Place, login: tuple[str, str], seconds: float) -> dict[str, int]:
    with scratch(work, place, login=login) as broker:
        return {one.count: one.found for one in restore.counted(broker, WANTED, seconds)}


def test_messages_come_back_to_the_same_path_and_name(stopped: tuple[Place, tuple[str, str]], work: Path, repository: Repository) -> None:
    place, login = stopped
    quiet = Stages(io.StringIO(), live=False)
    made = rabbitmq.backup_stopped(place.data, repository=repository, set_id="one", store="events", stages=quiet)
    shutil.rmtree(place.data)
    job = Job(name="events", kept=made, live=LIVE, set_id="one", repository=repository, work=work, stages=quiet)
    assert restore.beside(job).differences == ()
    assert counts(work, place, login, 60) == WANTED


def test_under_another_path_quorum_and_stream_queues_stay_down(stopped: tuple[Place, tuple[str, str]], work: Path) -> None:
    place, login = stopped
    shutil.copytree(place.data, work / "elsewhere")
    shutil.rmtree(place.data)
    found = counts(work, Place(place.node, work / "elsewhere"), login, 20)
    assert found["//classic"] == 5
    assert found["//quorum"] <= 0
    assert found["//stream"] <= 0


def test_under_another_name_the_broker_is_empty(stopped: tuple[Place, tuple[str, str]], work: Path) -> None:
    place, _ = stopped
    with scratch(work, Place("rabbit@another", place.data)) as broker:
        assert broker.messages() == {}
    with pytest.raises(PereneError, match="holds 2 nodes"):
        rabbitmq.node_in(place.data)


def test_a_copied_directory_under_a_new_name_does_not_boot(stopped: tuple[Place, tuple[str, str]], work: Path) -> None:
    place, login = stopped
    (place.data / place.node).rename(place.data / "rabbit@another")
    with pytest.raises(PereneError, match="failed"), scratch(work, Place("rabbit@another", place.data), login=login):
        pass


def test_damage_to_definitions_is_noticed(work: Path, repository: Repository) -> None:
    quiet = Stages(io.StringIO(), live=False)
    with scratch(work) as broker:
        prepared(broker, messages=0)
        made = rabbitmq.backup(broker, wanted="definitions", repository=repository, set_id="one", store="events", stages=quiet)
    kinds = [*RABBITMQ, *restore.TEXT]
    for turn, kind in enumerate(kinds):
        result = restore.scratch(
            Job(name="events", kept=made, live=LIVE, set_id="one", repository=repository, work=work, stages=quiet, turn=turn)
        )
        assert result.differences == ()
        assert result.damage is not None
        assert result.damage.kind == kind
        assert result.damage.found_by, f"{kind} went unnoticed"
