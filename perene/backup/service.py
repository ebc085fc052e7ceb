"""How a service (Redis, Qdrant, RabbitMQ) is reached: address, login, and the authority's certificate as a file while it is used."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perene.backup.tier import login_with
from perene.contract.tier import ServiceEndpoint, Store
from perene.custody.resolve import resolve
from perene.errors import PereneError
from perene.exit_codes import ExitCode


@dataclass(frozen=True, kw_only=True)
class Service:
    """An address and a login. ca: file of the authority that signed its certificate; None: it speaks without TLS."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    ca: Path | None = None

    def url(self, port: int | None = None) -> str:
        """The root of its HTTP interface."""
        return f"{'https' if self.ca else 'http'}://{self.host}:{port or self.port}"


@contextmanager
def reach(store: Store, name: str, *rights: str) -> Iterator[tuple[Service, ServiceEndpoint]]:
    """A store's service with the first login that has one of the rights; a store without logins is asked without one."""
    endpoint = store.endpoint
    if not isinstance(endpoint, ServiceEndpoint):
        raise PereneError("the store has no service endpoint", where=name, exit_code=ExitCode.CANNOT_TELL)
    login = login_with(store, name, *rights) if store.logins else None
    password = resolve(login.password).decode().rstrip("\n") if login and login.password else None
    with tempfile.TemporaryDirectory(prefix="perene-") as folder:
        ca = Path(folder) / "ca.crt" if endpoint.ca else None
        if ca and endpoint.ca:
            ca.write_bytes(resolve(endpoint.ca))
        yield Service(host=endpoint.host, port=endpoint.port, user=login.user if login else None, password=password, ca=ca), endpoint
