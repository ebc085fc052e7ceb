"""The RabbitMQ driver's way out: the definitions of a running broker, or, of a stopped one, its whole directory with the messages.

Source: RabbitMQ's HTTP API reference; definitions hold users (with password hashes), permissions, policies, queues and bindings.
"""

import hashlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from perene.backup import files
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import Count, ItemsContent, Part, StoreSet
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# What names an entry of the definitions, in this order; and parameters that each broker makes for itself.
IDENTITY = ("vhost", "user", "component", "source", "destination_type", "destination", "routing_key", "exchange", "name")
OWN = {"internal_cluster_id", "cluster_name", "cluster_tags"}
NAMED_QUEUES = 20


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A broker's HTTP API. url: without a path; ca: file of the authority that signed its certificate."""

    url: str
    user: str
    password: str
    ca: Path | None = None

    def ask(self, method: str, path: str, seconds: float = 60, **words: Any) -> Any:
        """An answer's document; None where there is none. PereneError (exit 3) when it cannot be reached or refuses."""
        try:
            answer = requests.request(
                method,
                self.url + path,
                auth=(self.user, self.password),
                timeout=(10, seconds),
                verify=str(self.ca) if self.ca else True,
                **words,
            )
        except requests.RequestException as failure:
            raise PereneError(
                "RabbitMQ cannot be reached",
                where=self.url,
                why=str(failure).rpartition("Caused by ")[2][:300],
                fix="see that the broker runs with its management plugin, and that it may be reached from here",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        if answer.status_code >= 300:
            raise PereneError(
                f"RabbitMQ refused: {answer.text.strip()[:300] or answer.status_code}",
                where=f"{method} {self.url}{path}",
                fix="definitions are for a user with the tag administrator" if answer.status_code in {401, 403} else "",
                exit_code=ExitCode.CANNOT_TELL,
            )
        return answer.json() if answer.content else None

    def definitions(self) -> dict[str, Any]:
        """Everything but messages."""
        found: dict[str, Any] = self.ask("GET", "/api/definitions")
        return found

    def messages(self) -> dict[str, int]:
        """`vhost/queue` -> messages. A quorum queue or stream counts nothing for seconds after a start: ask again.

        Not with `disable_stats`: then streams count 0 for ever (3.10).
        """
        queues = self.ask("GET", "/api/queues?columns=vhost,name,messages")
        return {f"{queue['vhost']}/{queue['name']}": int(queue.get("messages") or 0) for queue in queues}


def fingerprint(definitions: Mapping[str, Any], *, without: str = "") -> ItemsContent:
    """One item per defined thing, so that a difference has a name. without: the user and virtual host of a broker of our own."""
    items: dict[str, Count] = {}
    for section, entries in definitions.items():
        if not isinstance(entries, list):
            continue
        for entry in entries:
            if section == "global_parameters" and entry["name"] in OWN:
                continue
            words = [str(entry[part]) for part in IDENTITY if entry.get(part) not in {None, ""}]
            if without and without in words:
                continue
            digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).digest()
            name = f"{section.removesuffix('s')} {' '.join(words)}"
            before = items.get(name, Count(rows=0, hash="0"))
            items[name] = Count(rows=before.rows + 1, hash=str(int(before.hash) + int.from_bytes(digest[:8], "big")))
    return ItemsContent(items=items)


def backup(broker: Broker, *, wanted: str, repository: Repository, set_id: str, store: str, stages: Stages) -> StoreSet:
    """The definitions of a running broker. wanted: `definitions` or `stopped`, as the tier has it: what is left out is said."""
    started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    with stages.stage("dump", store) as progress:
        about, found = broker.ask("GET", "/api/overview"), broker.definitions()
        path = f"/{store}.definitions"
        text = json.dumps(found, sort_keys=True).encode()
        kept = repository.backup_bytes(text, path=path, tags={"set": set_id, "store": store, "part": "definitions"})
        progress(kept.size)
    return StoreSet(
        kind="rabbitmq",
        version=str(about["rabbitmq_version"]),
        tool="HTTP interface",
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        position=str(about["node"]),
        parts=(Part(name="definitions", path=path, bytes=kept.size),),
        content=fingerprint(found),
        seconds={"dump": round(time.monotonic() - begin, 3)},
        warnings=tuple(_left_out(broker.messages(), wanted)),
    )


def _left_out(messages: Mapping[str, int], wanted: str) -> Iterator[str]:
    full = {queue: count for queue, count in messages.items() if count}
    if full:
        listed = ", ".join(f"{queue} {count}" for queue, count in sorted(full.items())[:NAMED_QUEUES])
        way = "stop the broker first, as the tier says" if wanted == "stopped" else "drain the queues, or set messages: stopped"
        yield f"{sum(full.values())} messages are not in the set, which holds definitions only: {way} ({listed})"


def backup_stopped(root: Path, *, repository: Repository, set_id: str, store: str, stages: Stages) -> StoreSet:
    """The directory of a stopped broker, with its node's name and its path: under any other, messages do not come back."""
    node = node_in(root)
    made = files.backup(root, repository=repository, set_id=set_id, store=store, stages=stages)
    if made.warnings:
        raise PereneError(
            "the broker's directory changed while it was read",
            where=str(root),
            why=f"the broker runs, so the copy is torn: {made.warnings[0]}",
            fix="stop the broker, wait until its pod is gone, and run the backup again",
        )
    return made.model_copy(update={"kind": "rabbitmq", "position": f"{node} {root}"})


def node_in(root: Path) -> str:
    """The node whose directory lies below `root`. PereneError when there is none, or more than one."""
    found = {path.parent.name for path in root.rglob("schema.DAT")} | {path.parent.name for path in root.rglob("cluster_nodes.config")}
    if len(found) != 1:
        raise PereneError(
            f"the directory holds {len(found)} nodes: {', '.join(sorted(found)) or 'none'}",
            where=str(root),
            why="another node name on the same directory starts an empty broker beside the old one",
            fix="see that the node name is fixed, and that the job mounts the broker's volume",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return found.pop()


def answers(host: str, port: int) -> bool:
    """Whether anything listens there."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True
