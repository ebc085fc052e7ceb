"""The database's check against a real PostgreSQL over TLS: what is fine, and each fault by its name."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from perene.contract.tier import SecretRef, Store
from perene.custody.certificates import make_authority, make_server
from perene.health.certificates import not_after
from perene.health.database import probe
from perene.health.verdict import Finding, State
from tests.health.cluster import tier
from tests.migrate.conftest import Server
from tests.programs import needs, postgres

PASSWORD = "pa ss'w\\rd-CANARY"


class TlsServer(Server):
    """The tests' PostgreSQL, with TLS and passwords on a loopback port."""

    def start_again(self) -> None:
        authority = make_authority("tier")
        pair = make_server(authority, ("localhost",))
        self.ca, self.other_ca = authority.certificate, make_authority("stranger").certificate
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        for name, content in (("tls.crt", pair.certificate), ("tls.key", pair.key)):
            file = self.directory / name
            file.write_bytes(content)
            file.chmod(0o600)
            if self._as:
                os.chown(file, 65534, 65534)
        hba = self.directory / "data/pg_hba.conf"
        hba.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        options = (
            f"-k {self.directory} -c listen_addresses=127.0.0.1 -p {self.port} -c fsync=off -c max_connections=20 -c ssl=on "
            f"-c ssl_cert_file={self.directory}/tls.crt -c ssl_key_file={self.directory}/tls.key -c superuser_reserved_connections=3"
        )
        self._run("pg_ctl", "start", "-w", "-D", self.directory / "data", "-o", options, "-l", self.directory / "log")

    def conninfo(self, user: str, database: str) -> str:
        return f"host={self.directory} port={self.port} user={user} dbname={database}"


@needs("postgres")
@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    directory = tmp_path_factory.mktemp("pg")
    for parent in (directory, *directory.parents):
        if parent != Path("/tmp") and os.getuid() == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    one = TlsServer(directory, postgres())
    one.start()
    with psycopg.connect(one.conninfo("admin", "postgres"), autocommit=True) as admin:
        admin.execute(f"alter role admin password '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
    yield one
    one.stop()


def store(server: TlsServer) -> Store:
    ref = {"vault": "kubernetes", "scope": "ns", "name": "main-admin", "key": "password"}
    plain = tier().stores["main"].model_dump(mode="json") | {
        "endpoint": {"kind": "postgres", "host": "localhost", "port": server.port, "ca": ref | {"key": "ca.crt"}, "connection_name": None},
        "logins": {"admin": {"user": "admin", "password": ref, "principal": None}},
    }
    return tier(stores={"main": plain}).stores["main"]


def asked(server: TlsServer, *, password: str = PASSWORD, ca: bytes | None = None) -> dict[str, Finding]:
    def resolve(ref: SecretRef) -> bytes:
        return (ca or server.ca) if ref.key == "ca.crt" else password.encode()

    return {one.check: one for one in probe("main", store(server), resolve, "direito-lux-dev")}


def test_a_good_server_is_reachable_over_verified_tls_and_writable(server: TlsServer) -> None:
    found = asked(server)
    assert {one.state for one in found.values()} == {State.FINE}, found
    assert found["reachable"].what.startswith("PostgreSQL 1")
    assert "TLS that was verified" in found["reachable"].what
    assert {"reachable", "writable", "connections", "replication"} <= set(found)


def test_a_certificate_of_another_authority_is_bad_and_named_as_that(server: TlsServer) -> None:
    found = asked(server, ca=server.other_ca)
    assert list(found) == ["TLS verified"]
    assert found["TLS verified"].state is State.BAD
    assert found["TLS verified"].next.startswith("perene secrets check")


def test_a_wrong_password_is_bad_and_never_shown(server: TlsServer) -> None:
    found = asked(server, password="CANARY-wrong")
    assert found["reachable"].state is State.BAD
    assert "CANARY" not in found["reachable"].what


def test_a_server_that_takes_no_writes_is_bad(server: TlsServer) -> None:
    with psycopg.connect(server.conninfo("admin", "postgres"), autocommit=True) as admin:
        admin.execute("alter role admin set default_transaction_read_only = on")
        try:
            found = asked(server)
        finally:
            admin.execute("set default_transaction_read_only = off")
            admin.execute("alter role admin reset default_transaction_read_only")
    assert found["writable"].state is State.BAD, "a temporary table may be written even then: that alone proves nothing"


def test_too_many_connections_and_a_slow_query_are_warned_of(server: TlsServer) -> None:
    held = [psycopg.connect(server.conninfo("admin", "postgres"), autocommit=True) for _ in range(16)]
    try:
        found = asked(server)
    finally:
        for connection in held:
            connection.close()
    assert found["connections"].state is State.WARNING
    assert found["connections"].next


def test_a_slot_that_nobody_reads_is_warned_of(server: TlsServer) -> None:
    with psycopg.connect(server.conninfo("admin", "postgres"), autocommit=True) as admin:
        admin.execute("select pg_create_physical_replication_slot('forgotten')")
        found = asked(server)
        admin.execute("select pg_drop_replication_slot('forgotten')")
    assert found["replication"].state is State.WARNING
    assert "hold WAL back" in found["replication"].what


def test_the_certificates_end_is_read_from_the_real_server(server: TlsServer) -> None:
    assert not_after("127.0.0.1", server.port) > 0
