"""Vision on a real RabbitMQ and a real PostgreSQL: nothing confirmed is lost when the worker is killed, rows and pictures agree."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.rabbitmq import Broker
from perene.drill.scratch import scratch as postgres
from perene.drill.scratch_rabbitmq import scratch
from tests.programs import needs

APP = str(Path(__file__).parents[2] / "examples/vision/app.py")
DETECTIONS = 300
pytestmark = needs("rabbitmq-server", "postgres")


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[Broker, list[str], Path]]:
    """A broker with the queues, the words that reach it and the database, and the directory for media."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, scratch(Path(folder)) as broker, postgres() as server:
        for name in ("detections", "alerts"):
            settings = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
            broker.ask("PUT", f"/api/queues/{broker.user}/{name}", json=settings)
        port = next(one["port"] for one in broker.ask("GET", "/api/overview")["listeners"] if one["protocol"] == "amqp")
        with server.connect("postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE jarvis_vision")
        (Path(folder) / "password").write_text(broker.password)
        words = ["--broker", f"amqp://{broker.user}@127.0.0.1:{port}/{broker.user}", "--broker-password-file", f"{folder}/password"]
        words += ["--database", f"host={server.host} user={server.user} dbname=jarvis_vision", "--media", f"{folder}/media"]
        (Path(folder) / "media").mkdir()
        yield broker, words, Path(folder) / "media"


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, APP, *words], capture_output=True, text=True, check=False, timeout=120)


def waiting(broker: Broker) -> int:
    queue = broker.ask("GET", f"/api/queues/{broker.user}/detections")
    return int(queue.get("messages", 1))


def test_nothing_confirmed_is_lost_when_workers_are_killed(places: tuple[Broker, list[str], Path]) -> None:
    broker, words, media = places
    assert run("setup", *words).returncode == 0
    sent = run("camera", *words, "--detections", str(DETECTIONS))
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout) == {"confirmed": DETECTIONS}
    for _ in range(3):
        with subprocess.Popen([sys.executable, APP, "worker", *words]) as worker:
            time.sleep(1.5)
            worker.kill()
    with subprocess.Popen([sys.executable, APP, "worker", *words]) as worker:
        end = time.monotonic() + 90
        while json.loads(run("verify", *words).stdout)["events"] < DETECTIONS or waiting(broker):
            assert time.monotonic() < end
            time.sleep(0.5)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    found = run("verify", *words)
    assert found.returncode == 0, found.stdout
    assert json.loads(found.stdout)["pictures"] == DETECTIONS
    next(media.glob("*.jpg")).unlink()
    (media / "stranger.jpg").write_bytes(b"x")
    after = run("verify", *words)
    assert after.returncode == 6
    assert {"without picture": 1, "without row": 1}.items() <= json.loads(after.stdout).items()
