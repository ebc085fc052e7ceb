"""How Redis, Qdrant and RabbitMQ stand, asked over verified TLS with the login that sees most and changes least."""

import base64
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perene.contract.tier import ServiceEndpoint, Store
from perene.health.subject import Resolve
from perene.health.verdict import Finding, State
from perene.health.words import size

SECONDS = 3
FULL = 0.9
# Which login asks, by preference.
_LOGINS = {"redis": ("monitor", "admin"), "http": ("readonly", "admin"), "amqp": ("admin",)}
Told = tuple[State, str, str, str]


@dataclass(frozen=True, kw_only=True)
class _Server:
    """One server to ask. address: where it is found from here; host: the name that its certificate must carry."""

    host: str
    address: str
    tls: ssl.SSLContext
    user: str
    secret: str

    def connect(self, port: int) -> ssl.SSLSocket:
        plain = socket.create_connection((self.address, port), SECONDS)
        return self.tls.wrap_socket(plain, server_hostname=self.host)

    def get(self, port: int, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Status and JSON (or text) of an HTTPS answer."""
        asked = http.client.HTTPSConnection(self.host, port, timeout=SECONDS)
        asked.sock = self.connect(port)
        try:
            asked.request("GET", path, headers=dict(headers))
            answer = asked.getresponse()
            body = answer.read()
        finally:
            asked.close()
        return answer.status, json.loads(body) if body[:1] in {b"{", b"["} else body.decode(errors="replace")


def probe(name: str, store: Store, resolve: Resolve, stack: str, *, address: str = "") -> Iterator[Finding]:
    """Reachable, verified, version, whether it takes writes and keeps them, and what of it is used up. Nothing is written."""
    endpoint = store.endpoint
    if not isinstance(endpoint, ServiceEndpoint):
        return
    login = next((store.logins[user] for user in _LOGINS[endpoint.protocol] if user in store.logins), None)
    if not endpoint.ca or not login or not login.password:
        yield Finding(state=State.UNKNOWN, store=name, check="reachable", what="there is no login to ask with", next="pulumi up")
        return
    tls = ssl.create_default_context(cadata=resolve(endpoint.ca).decode())
    secret = resolve(login.password).decode()
    server = _Server(host=endpoint.host, address=address or endpoint.host, tls=tls, user=login.user, secret=secret)
    lost = f"perene health {stack} --lost"
    try:
        told = list(_ASK[endpoint.protocol](server, endpoint, store))
    except ssl.SSLCertVerificationError as untrusted:
        told = [(State.BAD, "TLS verified", untrusted.verify_message, f"perene secrets check {stack}")]
    except (OSError, ValueError, KeyError, http.client.HTTPException) as failed:
        told = [(State.BAD, "reachable", str(failed).replace(secret or "\0", "[secret]") or type(failed).__name__, lost)]
    for state, check, what, then in told:
        yield Finding(state=state, store=name, check=check, what=what, next="" if state is State.FINE else then or lost)


def _redis(server: _Server, endpoint: ServiceEndpoint, store: Store) -> Iterator[Told]:
    with server.connect(endpoint.port) as connection, connection.makefile("rb") as answers:
        for words in (("AUTH", server.user, server.secret), ("INFO",)):
            connection.sendall(b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words)]))
            head = answers.readline().decode()
            if head.startswith("-") or not head:
                raise ValueError(head.strip().lstrip("-") or "it closed the connection")
        text = answers.read(int(head[1:])).decode()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    yield State.FINE, "reachable", f"Redis {facts['redis_version']} over TLS that was verified", ""
    book = "see docs/runbooks/redis-not-durable.md"
    if facts.get("loading") == "1":
        yield State.WARNING, "writable", "it is still loading its data", "wait: loading must not be cut off"
    elif facts.get("role") != "master":
        yield State.BAD, "writable", f"it takes no writes: its role is {facts.get('role')}", book
    if store.mode != "cache":
        failing = [what for what in ("rdb_last_bgsave_status", "aof_last_write_status") if facts.get(what, "ok") != "ok"]
        logged = facts.get("aof_enabled") == "1"
        what = (
            f"{' and '.join(failing)} failed" if failing else "snapshots and the log are written" if logged else "the log is switched off"
        )
        yield State.BAD if failing or not logged else State.FINE, "durable", what, book
    taken, limit = int(facts["connected_clients"]), int(facts.get("maxclients", 0)) or 10_000
    yield _used("connections", taken, limit, f"{taken} of {limit} connections are taken")
    used, most = int(facts["used_memory"]), int(facts.get("maxmemory", 0))
    if most:
        yield _used("memory", used, most, f"{size(used)} of {size(most)} are used")


def _qdrant(server: _Server, endpoint: ServiceEndpoint, store: Store) -> Iterator[Told]:
    key = {"api-key": server.secret}
    status, about = server.get(endpoint.port, "/", key)
    if status != http.client.OK:
        raise ValueError(f"it answered {status}")
    yield State.FINE, "reachable", f"Qdrant {about['version']} over TLS that was verified", ""
    ready, said = server.get(endpoint.port, "/readyz", key)
    yield State.FINE if ready == http.client.OK else State.BAD, "ready", str(said).strip() or f"it answered {ready}", ""
    _, listed = server.get(endpoint.port, "/collections", key)
    there = {one["name"] for one in listed["result"]["collections"]}
    missing = sorted(set(store.collections) - there)
    what = f"missing: {', '.join(missing)}" if missing else f"{len(there)} collections"
    yield State.BAD if missing else State.FINE, "collections", what, ""


def _rabbitmq(server: _Server, endpoint: ServiceEndpoint, store: Store) -> Iterator[Told]:
    del store
    port = endpoint.management_port
    if not port:
        raise ValueError("the tier document names no port of its management")
    login = {"Authorization": "Basic " + base64.b64encode(f"{server.user}:{server.secret}".encode()).decode()}
    status, about = server.get(port, "/api/overview", login)
    if status != http.client.OK:
        raise ValueError(f"its management answered {status}")
    server.connect(endpoint.port).close()
    waiting = about.get("queue_totals", {}).get("messages", 0)
    yield State.FINE, "reachable", f"RabbitMQ {about['rabbitmq_version']} over TLS that was verified, {waiting} messages wait", ""
    quiet, said = server.get(port, "/api/health/checks/alarms", login)
    reason = said.get("reason", "an alarm") if isinstance(said, dict) else "an alarm"
    what = "publishers are let in" if quiet == http.client.OK else f"publishers are blocked: {reason}"
    yield State.FINE if quiet == http.client.OK else State.BAD, "writable", what, "see docs/runbooks/rabbitmq-blocked.md"


def _used(check: str, used: int, most: int, what: str) -> Told:
    return State.FINE if used <= FULL * most else State.WARNING, check, what, ""


_ASK: Mapping[str, Callable[[_Server, ServiceEndpoint, Store], Iterator[Told]]] = {"redis": _redis, "http": _qdrant, "amqp": _rabbitmq}
