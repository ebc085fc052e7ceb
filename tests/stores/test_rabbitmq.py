"""RabbitMQ without a broker: what a set names, and what is refused. The broker itself: tests/e2e/test_rabbitmq.py."""

import io
import socket
from pathlib import Path
from typing import Any

import pytest

from perene.backup import rabbitmq
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import FilesContent, ItemsContent
from perene.drill.scratch_rabbitmq import Place
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare
from perene.restore.rabbitmq import same_place, settled

DEFINITIONS: dict[str, Any] = {
    "rabbit_version": "4.0.5",
    "users": [{"name": "app", "password_hash": "aaaa", "tags": []}, {"name": "perene-scratch", "password_hash": "b", "tags": []}],
    "vhosts": [{"name": "/"}],
    "permissions": [{"user": "app", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    "policies": [{"vhost": "/", "name": "limit", "pattern": "^f", "definition": {"max-length": 10}}],
    "queues": [{"name": "frames", "vhost": "/", "durable": True, "arguments": {"x-queue-type": "quorum"}}],
    "bindings": [
        {"source": "in", "vhost": "/", "destination": "frames", "destination_type": "queue", "routing_key": "a", "arguments": {}},
        {"source": "in", "vhost": "/", "destination": "frames", "destination_type": "queue", "routing_key": "a", "arguments": {"x": 1}},
    ],
    "global_parameters": [{"name": "internal_cluster_id", "value": "made anew by each broker"}],
}


def changed(section: str, index: int, **words: Any) -> dict[str, Any]:
    entries = [dict(entry) for entry in DEFINITIONS[section]]
    entries[index] |= words
    return {**DEFINITIONS, section: entries}


def test_every_defined_thing_has_an_item_of_its_own() -> None:
    found = rabbitmq.fingerprint(DEFINITIONS, without="perene-scratch").items
    assert {name: count.rows for name, count in found.items()} == {
        "user app": 1,
        "vhost /": 1,
        "permission / app": 1,
        "policie / limit": 1,
        "queue / frames": 1,
        "binding / in queue frames a": 2,
    }


@pytest.mark.parametrize(
    ("spoilt", "where"),
    [
        (changed("users", 0, password_hash="cccc"), "user app"),
        (changed("users", 0, tags=["administrator"]), "user app"),
        (changed("permissions", 0, write=""), "permission / app"),
        (changed("policies", 0, definition={"max-length": 11}), "policie / limit"),
        (changed("queues", 0, durable=False), "queue / frames"),
        (changed("bindings", 1, arguments={"x": 2}), "binding / in queue frames a"),
        ({**DEFINITIONS, "queues": []}, "queue / frames"),
    ],
)
def test_any_change_of_a_definition_shows_under_its_name(spoilt: dict[str, Any], where: str) -> None:
    before, after = rabbitmq.fingerprint(DEFINITIONS), rabbitmq.fingerprint(spoilt)
    assert [difference.where for difference in compare.items(before, after)] == [f"store: {where}"]
    assert "cccc" not in repr(after), "no password's hash stands in a fingerprint"


def test_messages_come_back_to_their_own_path_only() -> None:
    recorded = Place("rabbit@events-g1-0", Path("/stores/events"))
    same_place(recorded, None)
    same_place(recorded, Path("/stores/events"))
    with pytest.raises(PereneError, match="quorum and stream queues hold their absolute path") as refused:
        same_place(recorded, Path("/elsewhere"))
    assert refused.value.exit_code == ExitCode.CANNOT_TELL
    assert "start the broker there as rabbit@events-g1-0" in str(refused.value)


def stopped(root: Path, *nodes: str) -> Path:
    for node in nodes:
        (root / "mnesia" / node).mkdir(parents=True)
        (root / "mnesia" / node / "cluster_nodes.config").write_text("{[],[]}.\n")
    return root


def test_a_stopped_brokers_directory_goes_with_its_node_and_path(repository: Repository, tmp_path: Path) -> None:
    root = stopped(tmp_path / "events", "rabbit@events-g1-0")
    quiet = Stages(io.StringIO(), live=False)
    made = rabbitmq.backup_stopped(root, repository=repository, set_id="one", store="events", stages=quiet)
    assert (made.kind, made.position) == ("rabbitmq", f"rabbit@events-g1-0 {root}")
    assert isinstance(made.content, FilesContent)


@pytest.mark.parametrize(("nodes", "count"), [((), 0), (("rabbit@a", "rabbit@b"), 2)])
def test_a_directory_of_no_node_or_of_two_is_refused(nodes: tuple[str, ...], count: int, tmp_path: Path) -> None:
    with pytest.raises(PereneError, match=f"holds {count} nodes"):
        rabbitmq.node_in(stopped(tmp_path, *nodes))


def test_a_directory_that_changes_meanwhile_is_a_running_brokers(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = stopped(tmp_path / "events", "rabbit@a")
    original = Repository.backup_tree

    def meddle(self: Repository, *args: Any, **words: Any) -> Any:
        (root / "mnesia" / "rabbit@a" / "queue").write_text("message")
        return original(self, *args, **words)

    monkeypatch.setattr(Repository, "backup_tree", meddle)
    with pytest.raises(PereneError, match="the broker runs, so the copy is torn"):
        rabbitmq.backup_stopped(root, repository=repository, set_id="one", store="events", stages=Stages(io.StringIO(), live=False))


def test_counts_are_asked_for_until_they_are_right() -> None:
    """Quorum queues and streams count 0 three seconds after a start, and right after twelve."""
    right = rabbitmq.fingerprint(DEFINITIONS)
    readings = iter([ItemsContent(items={}), ItemsContent(items={}), right])
    assert settled(lambda: next(readings), right, 5) == right
    assert settled(lambda: ItemsContent(items={}), right, 0).items == {}, "and not for ever"


def test_whether_a_broker_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert rabbitmq.answers("127.0.0.1", port)
    assert not rabbitmq.answers("127.0.0.1", port)
