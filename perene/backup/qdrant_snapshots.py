"""The Qdrant driver's way out and in: a snapshot per collection with its checksum, and the aliases beside them.

Never a snapshot of all collections: made in the same second, it removes that of a collection. Never an upload without the checksum:
flipped bytes would be accepted, and the collection be green. Aliases are in no snapshot of a collection.
"""

import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from perene.backup.progress import Stages
from perene.backup.qdrant import LONG, Qdrant, fingerprint, path_of
from perene.backup.repository import Repository
from perene.contract.recovery_set import Count, ItemsContent, Part, StoreSet
from perene.drill.daemon import daemon
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# The part that holds what snapshots do not: aliases, and the checksum of each snapshot. No collection may be called so.
INDEX = ":index"
BOUNDARY = "perene-7f1c2d94a3b8"


@dataclass(frozen=True)
class Snapshots:
    """A store's snapshots as files, by collection, with what goes beside them."""

    files: Mapping[str, Path]
    checksums: Mapping[str, str]
    aliases: Mapping[str, str]

    @classmethod
    def of_parts(cls, files: Mapping[str, Path]) -> "Snapshots":
        """From the parts of a set."""
        index = json.loads(files[INDEX].read_text())
        return cls({unquote(name): file for name, file in files.items() if name != INDEX}, index["checksums"], index["aliases"])


def program() -> str | None:
    """The server's program: `PERENE_QDRANT`, or `qdrant` on PATH; None where there is none (no distribution packages it)."""
    return os.environ.get("PERENE_QDRANT") or shutil.which("qdrant")


def backup(server: Qdrant, *, repository: Repository, set_id: str, store: str, stages: Stages) -> StoreSet:
    """Every collection's snapshot and the aliases into the repository."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    parts: list[Part] = []
    files: dict[str, Path] = {}
    checksums: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="perene-qdrant-") as folder:
        begin = time.monotonic()
        aliases = server.aliases()
        for name in server.collections():
            files[name] = Path(folder) / f"{len(files)}.snapshot"
            with stages.stage("dump", f"{store}/{name}") as progress:
                checksums[name] = take(server, name, files[name])
                quoted = quote(name, safe="")
                parts.append(_kept(repository, ["cat", str(files[name])], f"{quoted}.snapshot", (set_id, store, quoted)))
                progress(parts[-1].bytes)
        index = Path(folder) / "index"
        index.write_text(json.dumps({"aliases": aliases, "checksums": checksums}, sort_keys=True))
        parts.append(_kept(repository, ["cat", str(index)], "index", (set_id, store, INDEX)))
        middle = time.monotonic()
        with stages.stage("fingerprint", store):
            content, warnings = _content(server, Snapshots(files, checksums, aliases), Path(folder))
        counted = time.monotonic()
    return StoreSet(
        kind="qdrant",
        version=server.version(),
        tool="snapshots over REST",
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        position="",
        parts=tuple(parts),
        content=content,
        seconds={"dump": round(middle - begin, 3), "fingerprint": round(counted - middle, 3)},
        warnings=warnings,
    )


def _kept(repository: Repository, command: Sequence[str], file: str, names: tuple[str, str, str]) -> Part:
    set_id, store, part = names
    path = f"/{store}.{file}"
    kept = repository.backup_command(command, path=path, tags={"set": set_id, "store": store, "part": part})
    return Part(name=part, path=path, bytes=kept.size)


def _content(server: Qdrant, taken: Snapshots, work: Path) -> tuple[ItemsContent, tuple[str, ...]]:
    """The fingerprint of the snapshots: read in a server of our own, or, where there is none, of the running one if nobody writes to it."""
    if program():
        with scratch(work) as own:
            put(own, taken)
            return fingerprint(own), ()
    first, second = fingerprint(server), fingerprint(server)
    unsteady = sorted(name for name in {*first.items, *second.items} if first.items.get(name) != second.items.get(name))
    # A count that no restore can equal: what was not fingerprinted must never be called proven.
    items = first.items | dict.fromkeys(unsteady, Count(rows=-1, hash="written while it was read"))
    words = tuple(f"{name} was written while it was read: it has no fingerprint, because no qdrant program is here" for name in unsteady)
    return ItemsContent(items=items), words


def take(server: Qdrant, collection: str, target: Path) -> str:
    """A new snapshot of a collection into a file, and off the server again; its checksum, as the server named it and as the file has it."""
    where = f"{path_of(collection)}/snapshots"
    made = server.ask("POST", f"{where}?wait=true", seconds=LONG)
    try:
        found = server.download(f"{where}/{quote(made['name'], safe='')}", target)
    finally:
        server.ask("DELETE", f"{where}/{quote(made['name'], safe='')}?wait=true", seconds=LONG)
    if made.get("checksum") and made["checksum"] != found:
        raise PereneError(
            f"the snapshot of {collection} is not what the server made",
            where=server.url,
            why=f"its checksum is {found[:16]}..., the server says {made['checksum'][:16]}...",
            fix="run the backup again; when it happens twice, look at the server's disk",
        )
    return found


def put(server: Qdrant, taken: Snapshots) -> None:
    """Collections and aliases into a server that has none of those collections."""
    there = sorted({*server.collections()} & {*taken.files})
    if there:
        raise PereneError(
            f"the collections {', '.join(there)} exist already",
            where=server.url,
            why="a restore never writes over anything",
            fix="restore into another server, and change its alias or address when it is compared",
        )
    for name, file in taken.files.items():
        if name not in taken.checksums:
            raise PereneError(f"the set has no checksum for {name}", why="without it, flipped bytes would be accepted")
        path = f"{path_of(name)}/snapshots/upload?priority=snapshot&wait=true&checksum={taken.checksums[name]}"
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        server.ask("POST", path, data=_Form(file), headers=kind, seconds=LONG)
    actions = [{"create_alias": {"collection_name": name, "alias_name": alias}} for alias, name in taken.aliases.items()]
    if actions:
        server.ask("POST", "/collections/aliases", json={"actions": actions})


class _Form:
    """One file as a form of a known length, read in pieces: a snapshot may be larger than the memory."""

    def __init__(self, file: Path) -> None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="snapshot"; filename="s.snapshot"\r\n'
        self._file = file
        self._head = f"{head}Content-Type: application/octet-stream\r\n\r\n".encode()
        self._tail = f"\r\n--{BOUNDARY}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._file.stat().st_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._file.open("rb") as source:
            while chunk := source.read(1 << 20):
                yield chunk
        yield self._tail


def same_or_next_minor(recorded: str, running: str) -> None:
    """PereneError (exit 3) unless the server that reads a snapshot has the minor version that wrote it, or the one after it."""
    before, now = (tuple(int(number) for number in re.findall(r"\d+", text)[:2]) for text in (recorded, running))
    if before[0] != now[0] or not before[1] <= now[1] <= before[1] + 1:
        raise PereneError(
            f"the snapshots are of Qdrant {recorded}, the server is {running}",
            why="a snapshot is read by the same minor version, or by the next one",
            fix=f"restore into Qdrant {before[0]}.{before[1]} or {before[0]}.{before[1] + 1}, then go up one minor version at a time",
            exit_code=ExitCode.CANNOT_TELL,
        )


def writable(server: Qdrant) -> None:
    """PereneError when the server cannot write: a collection of one point is made and removed. Reads go on where a disk is full."""
    name = f"perene-writable-{os.urandom(4).hex()}"
    server.ask("PUT", f"/collections/{name}", json={"vectors": {"size": 1, "distance": "Dot"}})
    try:
        server.ask("PUT", f"/collections/{name}/points?wait=true", json={"points": [{"id": 1, "vector": [1.0]}]})
    finally:
        server.ask("DELETE", f"/collections/{name}")


@contextmanager
def scratch(work: Path) -> Iterator[Qdrant]:
    """A Qdrant of our own, on this computer's own address only (its default is every address). PereneError (exit 3) without a program."""
    command = program()
    if command is None:
        raise PereneError(
            "no qdrant program is here",
            why="snapshots are proven by a server that reads them, and no distribution packages one",
            fix="put `qdrant` on PATH or name it in PERENE_QDRANT (docs/backups.md)",
            exit_code=ExitCode.CANNOT_TELL,
        )
    with tempfile.TemporaryDirectory(dir=work, prefix="qdrant-") as folder:
        ports = _free_ports(2)
        settings = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(ports[0]),
            "QDRANT__SERVICE__GRPC_PORT": str(ports[1]),
            "QDRANT__STORAGE__STORAGE_PATH": f"{folder}/storage",
            "QDRANT__STORAGE__SNAPSHOTS_PATH": f"{folder}/snapshots",
            "QDRANT__TELEMETRY_DISABLED": "true",
        }
        server = Qdrant(url=f"http://127.0.0.1:{ports[0]}")

        def ready() -> bool:
            try:
                return bool(server.version())
            except PereneError:
                return False

        with daemon([command], what="starting a Qdrant of our own", folder=Path(folder), ready=ready, env=settings):
            yield server


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
