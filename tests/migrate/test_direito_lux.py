"""direito-lux: 001 to 004 through dev, staging and prod, and the blue-green switch with traffic all the time."""

import http.client
import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from perene.errors import PereneError
from perene.migrate.deploy import Applications
from perene.migrate.ledger import export
from perene.migrate.scripts import load
from perene.migrate.status import compare
from tests.migrate.conftest import Database, Server

EXAMPLE = Path(__file__).parents[2] / "examples/direito-lux"


@pytest.fixture
def lux(database: Database) -> Database:
    database.directory.rmdir()
    shutil.copytree(EXAMPLE / "migrations", database.directory)
    return database


def free_port() -> int:
    """A port outside the range from which outgoing connections take theirs: one that is free stays free until it is used."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - any will do
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


@contextmanager
def running(*arguments: object, port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(EXAMPLE / "app.py"), *map(str, arguments)])
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, f"{arguments} does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_the_same_four_migrations_reach_every_environment_and_status_says_so(server: Server, lux: Database, tmp_path: Path) -> None:
    environments = {
        name: lux if name == "dev" else Database(server, server.new_database(), lux.directory) for name in ("dev", "staging", "prod")
    }
    migrations, ledgers = load(lux.directory), {}
    for name, database in environments.items():
        assert [done.migration.version for done in database.deployment().apply()] == [1, 2, 3, 4]
        with database.connect() as connection:
            ledgers[name] = export(connection, name)
    status = compare(migrations, ledgers)
    assert status.verdict == "equal"
    assert status.rows["004_users_phone"] == {"dev": "applied", "staging": "applied", "prod": "applied"}
    assert lux.value("SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid::regclass::text ~ '^(users|cases)_'") is True


def test_staging_takes_only_what_dev_has_with_the_same_text(server: Server, lux: Database) -> None:
    staging = Database(server, server.new_database(), lux.directory)
    lux.deployment().apply(until=3)
    with lux.connect() as connection:
        dev = export(connection, "dev")
    after = replace(staging.deployment(), before=dev)
    with pytest.raises(PereneError, match="dev does not have 004_users_phone with this text"):
        after.apply()
    assert len(after.apply(until=3)) == 3


def test_blue_green_switch_loses_no_write_and_the_old_version_is_never_broken(lux: Database, tmp_path: Path) -> None:
    blue, green, front = free_port(), free_port(), free_port()
    active = tmp_path / "active"
    active.write_text(str(blue))
    app = lux.conninfo("app")
    applications = Applications(name="direito-lux")
    lux.deployment(applications=applications).apply(until=3)
    sent: list[str] = []
    failures: list[str] = []
    slowest = [0.0]
    stop = threading.Event()

    def traffic() -> None:
        while not stop.is_set():
            email, start = f"user{len(sent)}@direitolux.example", time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", front, timeout=10)
            try:
                connection.request("POST", "/users", json.dumps({"email": email, "name": "x", "phone": "+55 11 5555 0100"}))
                response = connection.getresponse()
                text = response.read().decode()
                if response.status == 201:
                    sent.append(email)
                else:
                    failures.append(text)
            except OSError as error:
                failures.append(repr(error))
            slowest[0] = max(slowest[0], time.monotonic() - start)
            connection.close()

    def switch(to: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLE / "app.py"), "switch", "--to", str(to), "--active", str(active)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with (
        running("front", "--port", front, "--active", active, port=front),
        running("serve", "--version", "1.0", "--port", blue, "--database", app, port=blue),
    ):
        client = threading.Thread(target=traffic)
        client.start()
        with running("serve", "--version", "2.0", "--port", green, "--database", app, port=green):
            assert "not switched" in switch(green).stderr, "version 2 is not healthy without its column: the traffic stays"
            lux.deployment(applications=applications).apply()  # 004, while version 1 runs and writes
            assert switch(green).returncode == 0
            time.sleep(0.3)
            with pytest.raises(PereneError, match=r"version 2\.0 of the application runs"):
                lux.deployment(applications=applications).revert()  # 2.0 writes phones: reverting 004 would break it
            assert switch(blue).returncode == 0, "the way back is one command as well"
            time.sleep(0.1)
        stop.set()
        client.join(10)
    assert not failures, "no request failed, before, during and after the switch"
    assert lux.value("SELECT count(*) FROM users") == len(sent) + 1, "no write is lost"
    assert slowest[0] < 1.5, f"the slowest request took {slowest[0]:.2f} s"
    phones = lux.value("SELECT count(*) FROM users WHERE phone IS NOT NULL")
    (done,) = lux.deployment(applications=applications).revert()
    (kept,) = done.kept
    assert kept.endswith(f"{phones} rows of public.users.phone"), "what version 2 wrote is copied before the column goes"
    table = kept.split(":")[0]
    assert lux.value(f"SELECT count(*) FROM {table} k JOIN users USING (id) WHERE k.phone = '+55 11 5555 0100'") == phones
