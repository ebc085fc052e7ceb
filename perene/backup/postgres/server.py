"""How to reach a PostgreSQL: one description for psycopg and for the client tools, the password in neither arguments nor environment."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from perene.contract.tier import Login, PostgresEndpoint
from perene.custody.resolve import resolve
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# Everything that changes how a value is written as text, so that the same content always gives the same hash.
FIXED = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
    "synchronize_seqscans": "off",
}
FIXED_OPTIONS = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in FIXED.items())


@dataclass(frozen=True, kw_only=True)
class Server:
    """host: a name, an address or the directory of a socket; ca: file of the authority that signed the server's certificate;
    named: the certificate carries the host's name (False where the authority signs for this one server only).
    """

    host: str
    port: int
    user: str
    password: str | None = None
    ca: Path | None = None
    named: bool = True

    def connect(self, database: str, *, autocommit: bool = False) -> psycopg.Connection[tuple[object, ...]]:
        """A connection with every output setting fixed. PereneError (exit 3) when the server cannot be reached."""
        try:
            return psycopg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=database,
                sslmode=self._sslmode,
                sslrootcert=str(self.ca) if self.ca else None,
                connect_timeout=10,
                application_name="perene",
                options=FIXED_OPTIONS,
                client_encoding="utf8",
                autocommit=autocommit,
            )
        except psycopg.OperationalError as refused:
            raise PereneError(
                "PostgreSQL cannot be reached",
                where=f"{self.user}@{self.host}:{self.port}/{database}",
                why=str(refused).strip(),
                fix="see that the server runs, and that this identity may log in from here",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None

    @contextmanager
    def tools(self) -> Iterator[dict[str, str]]:
        """Environment for pg_dump, pg_restore and psql; the password lies in a file of mode 0600 for as long as they run."""
        env = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGSSLMODE": self._sslmode, "PGAPPNAME": "perene"}
        if self.ca:
            env["PGSSLROOTCERT"] = str(self.ca)
        if self.password is None:
            yield env | {name: os.environ[name] for name in ("PGPASSFILE",) if name in os.environ}
            return
        with tempfile.TemporaryDirectory(prefix="perene-") as folder:
            file = Path(folder) / "pgpass"
            escaped = self.password.replace("\\", "\\\\").replace(":", "\\:")
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, f"*:*:*:*:{escaped}\n".encode())
            os.close(descriptor)
            yield env | {"PGPASSFILE": str(file)}

    @property
    def _sslmode(self) -> str:
        return ("verify-full" if self.named else "verify-ca") if self.ca else "prefer"


def of_uri(uri: str) -> Server:
    """A server that a person names: `postgresql://admin@host:5432?sslrootcert=FILE`. Its password comes from PGPASSFILE or ~/.pgpass."""
    try:
        words = conninfo_to_dict(uri)
    except psycopg.ProgrammingError as wrong:
        raise PereneError("the address of the server cannot be read", why=str(wrong).strip(), exit_code=ExitCode.USAGE) from None
    host, ca = str(words.pop("host", "")), words.pop("sslrootcert", None)
    server = Server(
        host=host,
        port=int(words.pop("port", None) or 5432),
        user=str(words.pop("user", "postgres")),
        ca=Path(str(ca)) if ca else None,
    )
    problems = [
        *(["it holds a password, which other processes can read"] if "password" in words else []),
        *(["it names no host"] if not host else []),
        *([f"{name} is not for it to say" for name in sorted(words) if name != "password"]),
        *(
            ["another host's certificate must be verified"]
            if not ca and host not in {"", "localhost", "127.0.0.1", "::1"} and host[:1] != "/"
            else []
        ),
    ]
    if problems:
        raise PereneError(
            "the address of the server is not usable",
            where=f"{server.user}@{server.host}:{server.port}",
            why="; ".join(problems),
            fix="postgresql://USER@HOST:PORT?sslrootcert=FILE (or `system`), the password in a file that PGPASSFILE names",
            exit_code=ExitCode.USAGE,
        )
    return server


@contextmanager
def reach(endpoint: PostgresEndpoint, login: Login) -> Iterator[Server]:
    """A server by its endpoint and login, its secrets resolved, the authority's certificate in a private file while it is used."""
    password = resolve(login.password).decode().rstrip("\n") if login.password else None
    user = login.user if login.password or not login.principal else login.principal.removesuffix(".gserviceaccount.com")
    if endpoint.ca is None:
        yield Server(host=endpoint.host, port=endpoint.port, user=user, password=password)
        return
    with tempfile.TemporaryDirectory(prefix="perene-") as folder:
        ca = Path(folder) / "ca.crt"
        ca.write_bytes(resolve(endpoint.ca))
        yield Server(host=endpoint.host, port=endpoint.port, user=user, password=password, ca=ca)
