"""Object stores on loopback that speak the services' own interfaces: S3 by moto's server, GCS by fake-gcs-server. Doubles, both.

moto keeps versions and delete markers, conditional writes and multipart uploads, and enforces identity policies once `enforce` is called.
fake-gcs-server keeps generations and preconditions; it has no soft delete, no retention lock and no IAM: nothing here shows those.
"""

import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from perene.custody import certificates
from tests.programs import fake_gcs_server
from tests.serving import serving

GOOGLE = "storage.googleapis.com"


class S3Server:
    """A running moto. Profiles of a credentials file stand for identities; `admin` may do everything."""

    def __init__(self, port: int, folder: Path) -> None:
        self.address, self.folder = f"http://127.0.0.1:{port}", folder
        self.environment = {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws"), "AWS_DEFAULT_REGION": "us-east-1", "AWS_PROFILE": "admin"}
        self._profile("admin", "testing", "testing")

    def client(self, service: str) -> Any:
        session = boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
        return session.client(service, endpoint_url=self.address)

    def identity(self, name: str, policy: str) -> None:
        """An identity with a policy and a profile of that name."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self._profile(name, key["AccessKeyId"], key["SecretAccessKey"])

    def enforce(self, *, on: bool) -> None:
        """From here on policies count, or no longer do."""
        count = b"0" if on else b"inf"
        requests.post(f"{self.address}/moto-api/reset-auth", data=count, timeout=5).raise_for_status()

    def _profile(self, name: str, key: str, secret: str) -> None:
        with (self.folder / "aws").open("a") as file:
            file.write(f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")


@contextmanager
def s3(folder: Path) -> Iterator[S3Server]:
    """moto in a process of its own."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(words, f"http://127.0.0.1:{port}/moto-api/"):
        yield S3Server(port, folder)


@contextmanager
def gcs(folder: Path) -> Iterator[dict[str, str]]:
    """fake-gcs-server; the environment in which both restic and perene come to it.

    restic knows no emulator: it is led there by a proxy, with a certificate of ours for Google's name and a token from an endpoint of ours.
    """
    plain, tls = free_port(), free_port()
    authority = certificates.make_authority("doubles")
    pair = certificates.make_server(authority, (GOOGLE,))
    for name, content in {"ca": authority.certificate, "cert": pair.certificate, "key": pair.key}.items():
        (folder / name).write_bytes(content)
    files = ["-cert-location", str(folder / "cert"), "-private-key-location", str(folder / "key")]
    ports = ["-scheme", "both", "-host", "127.0.0.1", "-port", str(tls), "-port-http", str(plain)]
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), _Token)) as token,
        serving(_Proxy(tls)) as proxy,
        _running([str(fake_gcs_server()), *ports, *files, "-backend", "memory"], f"http://127.0.0.1:{plain}/storage/v1/b"),
    ):
        (folder / "account.json").write_text(json.dumps(_account(f"http://127.0.0.1:{token}/token")))
        yield {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{plain}",
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"),
            "GOOGLE_PROJECT_ID": "acme",
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "SSL_CERT_FILE": str(folder / "ca"),
        }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _running(words: list[str], ready: str) -> Iterator[None]:
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                requests.get(ready, timeout=2)
                break
            except OSError:
                assert child.poll() is None, f"{words[0]} ended"
                time.sleep(0.1)
        yield
    finally:
        child.terminate()
        child.wait()


class _Token(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = json.dumps({"access_token": "a token", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


class _Proxy(socketserver.ThreadingTCPServer):
    """Whatever a client wants to reach, it reaches one port of ours."""

    daemon_threads = True
    to: ClassVar[int]

    def __init__(self, to: int) -> None:
        super().__init__(("127.0.0.1", 0), type("Tunnel", (_Tunnel,), {"to": to}))


class _Tunnel(socketserver.StreamRequestHandler):
    to: ClassVar[int]

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(("127.0.0.1", self.to)) as there:
            self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _account(token: str) -> dict[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    email = "backup@acme.iam.gserviceaccount.com"
    return {"type": "service_account", "project_id": "acme", "private_key": pem.decode(), "client_email": email, "token_uri": token}
