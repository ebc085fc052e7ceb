"""What health says of Redis (a real server), and of Qdrant and RabbitMQ (doubles of their HTTP interfaces), all over verified TLS."""

import http.server
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perene.contract.tier import Goals, Login, SecretRef, ServiceEndpoint, Store, StoreBackup
from perene.custody.certificates import Pair, make_authority, make_server
from perene.health.services import probe
from perene.health.verdict import Finding, State
from tests.programs import needs

SECRET = 'a "secret" with spaces'
REF = SecretRef(vault="kubernetes", scope="x", name="ca", key="ca.crt")


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority("test")


@pytest.fixture(scope="module")
def files(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tls")
    made = make_server(authority, ("cache-g1.x.svc", "localhost"))
    for name, content in {"ca.crt": authority.certificate, "tls.crt": made.certificate, "tls.key": made.key}.items():
        (place / name).write_bytes(content)
    return place


def store(kind: str, protocol: str, port: int, **more: Any) -> Store:
    host = more.pop("host", "cache-g1.x.svc")
    management = more.pop("management_port", None)
    endpoint = ServiceEndpoint(protocol=protocol, host=host, port=port, ca=REF, management_port=management)  # type: ignore[arg-type]
    login = Login(user="monitor", password=SecretRef(vault="kubernetes", scope="x", name="login", key="password"))
    return Store(
        kind=kind,  # type: ignore[arg-type]
        generation=1,
        version="7",
        endpoint=endpoint,
        logins={"monitor": login, "admin": login, "readonly": login},
        backup=StoreBackup(ways=("logical",)),
        goals=Goals(rpo="1d", rto="1h"),
        guarded=False,
        **more,
    )


def found(authority: Pair, one: Store, secret: str = SECRET) -> dict[str, Finding]:
    answers = {"ca": authority.certificate, "login": secret.encode()}
    return {finding.check: finding for finding in probe("cache", one, lambda ref: answers[ref.name], "dev", address="127.0.0.1")}


@pytest.fixture(scope="module")
def redis(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = tmp_path_factory.mktemp("redis")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    quoted = SECRET.replace('"', '\\"')
    settings = f"""
        port 0
        tls-port {port}
        bind 127.0.0.1
        tls-cert-file {files / "tls.crt"}
        tls-key-file {files / "tls.key"}
        tls-ca-cert-file {files / "ca.crt"}
        tls-auth-clients no
        dir {place}
        appendonly yes
        maxmemory 100mb
        user default on "~*" "&*" +@all ">{quoted}"
        user monitor on "-@all" +info ">{quoted}"
    """
    (place / "redis.conf").write_text(settings)
    server = subprocess.Popen(["redis-server", place / "redis.conf"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


def command(files: Path, port: int, *words: str) -> None:
    tls = ["--tls", "--cacert", str(files / "ca.crt"), "--sni", "localhost", "--user", "default", "--pass", SECRET, "--no-auth-warning"]
    subprocess.run(["redis-cli", "-h", "localhost", "-p", str(port), *tls, *words], check=True, capture_output=True)


@needs("redis-server", "redis-cli")
def test_a_redis_that_is_well_is_said_to_be_with_its_version_and_what_is_used(authority: Pair, redis: int) -> None:
    told = found(authority, store("redis", "redis", redis, mode="store"))
    assert {finding.state for finding in told.values()} == {State.FINE}, told
    assert told["reachable"].what.startswith("Redis ")
    assert "of 100.0 MiB are used" in told["memory"].what
    assert set(told) == {"reachable", "durable", "connections", "memory"}


FAULTS = {
    "durable": ("CONFIG SET appendonly no", "CONFIG SET appendonly yes", "the log is switched off"),
    "memory": ("CONFIG SET maxmemory 512kb", "CONFIG SET maxmemory 100mb", "of 512.0 KiB are used"),
    "writable": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "its role is slave"),
}


@needs("redis-server", "redis-cli")
@pytest.mark.parametrize("check", FAULTS)
def test_a_redis_that_is_not_is_named(authority: Pair, files: Path, redis: int, check: str) -> None:
    change, back, what = FAULTS[check]
    command(files, redis, *change.split())
    told = found(authority, store("redis", "redis", redis, mode="store"))
    command(files, redis, *back.split())
    assert told[check].state in {State.BAD, State.WARNING}, told
    assert what in told[check].what
    assert told[check].next


@needs("redis-server", "redis-cli")
def test_another_authority_another_name_and_a_wrong_password_are_told_apart(authority: Pair, redis: int) -> None:
    assert found(make_authority("other"), store("redis", "redis", redis))["TLS verified"].state is State.BAD
    assert "cache-g2" in found(authority, store("redis", "redis", redis, host="cache-g2.x.svc"))["TLS verified"].what
    wrong = found(authority, store("redis", "redis", redis), secret="wrong-hunter2")["reachable"]
    assert wrong.state is State.BAD
    assert "WRONGPASS" in wrong.what
    assert "hunter2" not in wrong.what
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        free = nobody.getsockname()[1]
    assert found(authority, store("redis", "redis", free))["reachable"].state is State.BAD


@pytest.fixture
def https(files: Path) -> Iterator[tuple[int, dict[str, tuple[int, Any]]]]:
    """A double: what it answers to each path."""
    answers: dict[str, tuple[int, Any]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = SECRET in (self.headers.get("api-key") or "") or self.headers.get("Authorization", "").startswith("Basic ")
            status, content = answers.get(self.path, (404, "")) if allowed else (401, "")
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files / "tls.crt", files / "tls.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], answers
    server.shutdown()
    server.server_close()


def test_a_qdrant_tells_its_version_and_which_collection_is_missing(authority: Pair, https: tuple[int, dict[str, Any]]) -> None:
    port, answers = https
    answers |= {
        "/": (200, {"title": "qdrant", "version": "1.15.5"}),
        "/readyz": (200, "all shards are ready"),
        "/collections": (200, {"result": {"collections": [{"name": "cases"}]}}),
    }
    collections = {"cases": {"size": 4, "distance": "Dot"}}
    one = store("qdrant", "http", port)
    whole = one.model_copy(update={"collections": collections})
    assert {check: finding.state for check, finding in found(authority, whole).items()} == dict.fromkeys(
        ("reachable", "ready", "collections"), State.FINE
    )
    lost = found(authority, one.model_copy(update={"collections": {**collections, "people": collections["cases"]}}))["collections"]
    assert (lost.state, lost.what) == (State.BAD, "missing: people")
    answers["/readyz"] = (503, "some shards are not ready")
    assert found(authority, whole)["ready"].state is State.BAD


def test_a_rabbitmq_tells_how_many_wait_and_that_publishers_are_blocked(authority: Pair, https: tuple[int, dict[str, Any]]) -> None:
    port, answers = https
    answers |= {
        "/api/overview": (200, {"rabbitmq_version": "4.0.5", "queue_totals": {"messages": 7}}),
        "/api/health/checks/alarms": (200, {"status": "ok"}),
    }
    one = store("rabbitmq", "amqp", port, management_port=port)
    told = found(authority, one)
    assert told["reachable"].what == "RabbitMQ 4.0.5 over TLS that was verified, 7 messages wait"
    assert told["writable"].state is State.FINE
    answers["/api/health/checks/alarms"] = (503, {"status": "failed", "reason": "resource alarm(s) in effect: disk"})
    blocked = found(authority, one)["writable"]
    assert (blocked.state, blocked.what) == (State.BAD, "publishers are blocked: resource alarm(s) in effect: disk")
