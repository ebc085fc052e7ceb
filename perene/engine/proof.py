"""The proof at the end of `up`: a row written through the Service over verified TLS as the application, and read back."""

import base64
import json
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from perene.contract.tier import Login, PostgresEndpoint, Store, TierDocument
from perene.engine.kubectl import Kubectl
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import state, write_private

SCHEMA = "perene_proof"
CONNECT_SECONDS = 10


def prove(root: Path, kubectl: Kubectl, tier: TierDocument, *, reachable: bool) -> list[str]:
    """Write and read a row in every PostgreSQL of the cluster; a line for people per store.

    reachable: cluster addresses can be reached from here (perene's own cluster); else a port is forwarded.
    PereneError (exit 6) when a row is not what was written, or when the row of the last run is gone.
    """
    found = []
    for name, store in tier.stores.items():
        if isinstance(store.endpoint, PostgresEndpoint) and store.workload:
            try:
                found.append(_prove_store(root, kubectl, tier, name, store, reachable=reachable))
            except psycopg.Error as failed:
                raise PereneError(
                    f"the row was not written: {failed}", where=store.workload, fix=_fix(failed), exit_code=ExitCode.NOT_PROVEN
                ) from None
    return found


def _fix(failed: psycopg.Error) -> str:
    if isinstance(failed, psycopg.errors.DiskFull):
        return "the volume is full: enlarge volume.size in the stack file, and run this again"
    return "see the server's log: kubectl logs on its pod"


def _prove_store(root: Path, kubectl: Kubectl, tier: TierDocument, name: str, store: Store, *, reachable: bool) -> str:
    database = next(iter(store.databases))
    memory = state(root, "stacks", tier.stack) / f"proof-{name}-g{store.generation}.json"
    before = json.loads(memory.read_text(encoding="utf-8"))["row"] if memory.exists() else None
    row = str(uuid.uuid4())
    began = time.monotonic()
    with _address(kubectl, store, tier.namespace, reachable=reachable) as address:
        connection = Connector(
            kubectl, tier.namespace, store, database=database, address=address, directory=state(root, "stacks", tier.stack)
        )
        # A system that makes its own tables, as the administrator, declares no migrator.
        makes = next((user for user, right in store.rights.items() if right == "ddl"), "admin")
        with connection.open(makes) as ddl:
            ddl.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
            ddl.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {}.rows (id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())").format(
                    sql.Identifier(SCHEMA)
                )
            )
            ddl.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO app").format(sql.Identifier(SCHEMA)))
            ddl.execute(sql.SQL("GRANT SELECT, INSERT, DELETE ON {}.rows TO app").format(sql.Identifier(SCHEMA)))
        table = sql.Identifier(SCHEMA, "rows")
        with connection.open("app") as writer:
            writer.execute(sql.SQL("INSERT INTO {} (id) VALUES (%s)").format(table), (row,))
        with connection.open("app") as reader:
            kept = {str(found[0]) for found in reader.execute(sql.SQL("SELECT id FROM {}").format(table))}
            reader.execute(sql.SQL("DELETE FROM {} WHERE at < now() - interval '90 days'").format(table))
    if row not in kept or (before and before not in kept):
        lost = "the row that was just written" if row not in kept else f"the row {before} of the last run"
        raise PereneError(f"{lost} is not there", where=f"{store.workload}/{database}", exit_code=ExitCode.NOT_PROVEN)
    write_private(memory, json.dumps({"row": row}))
    also = ", the last run's row is still there" if before else ""
    return f"{name}: a row written as app through {store.workload} over verified TLS and read back{also} ({time.monotonic() - began:.1f} s)"


class Connector:
    """Opens connections to one PostgreSQL as its roles, verifying the server's name and authority."""

    def __init__(self, kubectl: Kubectl, namespace: str, store: Store, *, database: str, address: tuple[str, int], directory: Path) -> None:
        self.kubectl, self.namespace, self.store, self.database, self.address = kubectl, namespace, store, database, address
        assert isinstance(store.endpoint, PostgresEndpoint)  # noqa: S101 - the caller chose the store by it
        self.host = store.endpoint.host
        self.authority = directory / f"{store.workload}-ca.crt"
        if store.endpoint.ca:
            write_private(self.authority, self._secret(store.endpoint.ca.name)[store.endpoint.ca.key])

    def open(self, role: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection as a role; PereneError when the server cannot be reached or is not who it should be."""
        login = self.store.logins.get(role)
        if login is None or login.password is None:
            raise PereneError(f"the store has no role {role}", where=str(self.store.workload), fix="add it under users in the stack file")
        try:
            return psycopg.connect(**self._parameters(login, self._secret(login.password.name)[login.password.key].decode()))
        except psycopg.OperationalError as refused:
            raise PereneError(f"cannot connect as {role}: {refused}", where=f"{self.host}:{self.address[1]}") from None

    def _parameters(self, login: Login, password: str) -> dict[str, Any]:
        return {
            "host": self.host,
            "hostaddr": self.address[0],
            "port": self.address[1],
            "dbname": self.database,
            "user": login.user,
            "password": password,
            "sslmode": "verify-full",
            "sslrootcert": str(self.authority),
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "perene up",
        }

    def _secret(self, name: str) -> dict[str, bytes]:
        found = self.kubectl.get("secret", name, self.namespace)
        if found is None:
            raise PereneError(f"the secret {name} is missing", fix="perene secrets init")
        return {key: base64.b64decode(value) for key, value in found["data"].items()}


@contextmanager
def _address(kubectl: Kubectl, store: Store, namespace: str, *, reachable: bool) -> Iterator[tuple[str, int]]:
    """Where the Service is found from here: its own address, or a forwarded port on loopback."""
    assert isinstance(store.endpoint, PostgresEndpoint)  # noqa: S101 - the caller chose the store by it
    port = store.endpoint.port
    if reachable:
        service = kubectl.get("service", str(store.workload), namespace)
        if service is None:
            raise PereneError(f"the Service {store.workload} is missing", fix="run `make up` again")
        yield service["spec"]["clusterIP"], port
        return
    local = _free_port()
    command = kubectl.command(
        "port-forward", f"service/{store.workload}", f"{local}:{port}", "-n", namespace, "--address=127.0.0.1", seconds=0
    )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as forward:
        try:
            _wait_for_port(local)
            yield "127.0.0.1", local
        finally:
            forward.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise PereneError("kubectl port-forward did not open its port")
