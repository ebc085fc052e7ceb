"""The PostgreSQL driver's way out: every database of a store, dumped at full speed from the snapshot that is fingerprinted.

Uncompressed and packed on its way (`packing`), so that restic finds what did not change; straight into the repository, so that no copy as
large as the database is ever made.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from perene.backup import packing, process
from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.migration import LedgerExport
from perene.contract.recovery_set import DatabaseFingerprint, Part, PostgresContent, StoreSet
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate import ledger

MAJORS = (15, 16, 17)
SIZES = "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datname = ANY(%s)"


def backup(
    server: Server,
    databases: Sequence[str],
    *,
    kind: Literal["postgres", "cloud-sql"],
    repository: Repository,
    set_id: str,
    store: str,
    stages: Stages,
) -> StoreSet:
    """Dump and fingerprint every database into the repository under the set's tags."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    dump_tool = process.version("pg_dump")
    with server.connect(databases[0] if databases else "postgres", autocommit=True) as look:
        version = str(look.execute("SHOW server_version").fetchall()[0][0])
        _same_major(dump_tool, version, store)
        records, roles = fingerprint.records(look, databases), fingerprint.roles(look)
        sizes = {str(name): int(str(size)) for name, size in look.execute(SIZES, [list(databases)]).fetchall()}
        warnings = _warnings(
            look.execute("SELECT gid, database FROM pg_prepared_xacts WHERE database = ANY(%s)", [list(databases)]).fetchall()
        )
    absent = [name for name in databases if name not in records]
    if absent:
        raise PereneError(
            f"the databases {', '.join(absent)} do not exist", where=store, fix="see that the tier document is the running one"
        )
    parts: list[Part] = []
    prints: dict[str, DatabaseFingerprint] = {}
    ledgers: dict[str, LedgerExport] = {}
    seconds = {"dump": 0.0, "fingerprint": 0.0}
    position = ""
    for database in databases:
        with fingerprint.freeze(server, database) as frozen, server.tools() as env:
            position = frozen.position
            begin = time.monotonic()
            path = f"/{store}.{database}.dump{packing.SUFFIX}"
            with stages.stage("dump", f"{store}/{database}") as progress:
                snapshot = repository.backup_packed(
                    [
                        "pg_dump",
                        "--format=custom",
                        "--compress=none",
                        f"--snapshot={frozen.snapshot}",
                        # Behind somebody who waits to change a table, while we hold it: without an end, both would wait for ever.
                        "--lock-wait-timeout=60s",
                        "--no-password",
                        f"--dbname={database}",
                    ],
                    path=path,
                    tags={"set": set_id, "store": store, "part": database},
                    env=env,
                    progress=progress,
                )
                progress(snapshot.size)
            middle = time.monotonic()
            with stages.stage("fingerprint", f"{store}/{database}"):
                prints[database] = fingerprint.fingerprint(frozen)
                if ledger.exists(frozen.connection):
                    ledgers[database] = ledger.document(frozen.connection, "")
            seconds["dump"] += middle - begin
            seconds["fingerprint"] += time.monotonic() - middle
            parts.append(Part(name=database, path=path, bytes=snapshot.size))
    return StoreSet(
        kind=kind,
        version=version,
        tool=dump_tool,
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        position=position,
        parts=tuple(parts),
        content=PostgresContent(databases=prints, records=records, roles=roles, sizes=sizes),
        seconds={name: round(value, 3) for name, value in seconds.items()},
        warnings=warnings,
        ledgers=ledgers,
    )


def _same_major(tool: str, server: str, store: str) -> None:
    """An older pg_dump refuses a newer server by itself; a newer one would write what the server's own pg_restore may not read."""
    client, running = int(tool.split()[2].split(".", maxsplit=1)[0]), int(server.split(".", maxsplit=1)[0])
    if client != running or running not in MAJORS:
        raise PereneError(
            f"the server is PostgreSQL {running}, pg_dump is {client}",
            where=store,
            why="a dump is only certain to come back when client and server have the same major version",
            fix=f"run it in the ops image with postgresql-client-{running}",
            exit_code=ExitCode.CANNOT_TELL,
        )


def _warnings(prepared: Sequence[tuple[object, ...]]) -> tuple[str, ...]:
    return tuple(f"prepared transaction {gid} in {database} is open: what it did is not in the set" for gid, database in prepared)
