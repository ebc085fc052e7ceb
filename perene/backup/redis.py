"""The Redis driver's way out: a snapshot over the network, read by a Redis of our own, and fingerprinted there.

The snapshot is made from memory, so it holds everything acknowledged before it began, whatever the append-only file does meanwhile.
Sources: Redis 7 documentation of SYNC, BGSAVE and DEBUG; its `replication.c` on when a snapshot is shared.
"""

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from perene.backup import process
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.service import Service
from perene.contract.recovery_set import Count, ItemsContent, Part, StoreSet
from perene.drill.daemon import daemon
from perene.errors import PereneError
from perene.exit_codes import ExitCode

WAIT_SECONDS = 900.0
CHUNK = 1000
# More than anybody uses: a snapshot with a database above the limit ends the server that reads it.
DATABASES = 1024
LASTING = """
local found, kept = redis.call('SCAN', unpack(ARGV)), {}
for _, key in ipairs(found[2]) do if redis.call('PTTL', key) == -1 then kept[#kept + 1] = key end end
return {found[1], kept}"""


def connect(service: Service) -> redis.Redis:
    """A client. PereneError (exit 3) when the server does not answer.

    It never sends a command again by itself: a SHUTDOWN would stop the server that was started meanwhile.
    """
    client = redis.Redis(
        host=service.host,
        port=service.port,
        username=service.user,
        password=service.password,
        ssl=service.ca is not None,
        ssl_ca_certs=str(service.ca) if service.ca else None,
        socket_connect_timeout=10,
        socket_timeout=60,
        retry=Retry(NoBackoff(), 0),
    )
    with named(f"{service.host}:{service.port}"):
        client.ping()
    return client


def ask(client: redis.Redis, *words: object) -> Any:
    """A command as it is written; redis-py gives it no types."""
    call: Any = client.execute_command
    return call(*words)


@contextmanager
def named(where: str) -> Iterator[None]:
    """Redis' errors as ours."""
    try:
        yield
    except redis.RedisError as failure:
        raise PereneError(
            "Redis cannot be reached or refuses",
            where=where,
            why=str(failure),
            fix="see that it runs, that its password is the vault's, and that this identity may SYNC, INFO and CONFIG GET",
            exit_code=ExitCode.CANNOT_TELL,
        ) from None


def backup(client: redis.Redis, *, repository: Repository, set_id: str, store: str, stages: Stages) -> StoreSet:
    """A snapshot of the running server into the repository, with the fingerprint of that very file."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="perene-redis-") as folder:
        dump = Path(folder) / "fetched.rdb"
        begin = time.monotonic()
        with named(store):
            facts = settled(client)
            warnings = tuple(_warnings(facts))
        with stages.stage("dump", store) as progress:
            fetch(client, dump)
            progress(dump.stat().st_size)
        middle = time.monotonic()
        with stages.stage("fingerprint", store), reading(dump, Path(folder)) as copy:
            content = fingerprint(copy)
        counted = time.monotonic()
        path = f"/{store}.rdb"
        with stages.stage("copy", store) as progress:
            kept = repository.backup_command(["cat", str(dump)], path=path, tags={"set": set_id, "store": store, "part": "rdb"})
            progress(kept.size)
    return StoreSet(
        kind="redis",
        version=str(facts["redis_version"]),
        tool=process.version("redis-cli"),
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        position=str(facts["master_repl_offset"]),
        parts=(Part(name="rdb", path=path, bytes=kept.size),),
        content=content,
        seconds={
            "dump": round(middle - begin + time.monotonic() - counted, 3),
            "fingerprint": round(counted - middle, 3),
        },
        warnings=warnings,
    )


def settled(client: redis.Redis, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
    """Wait until no snapshot is being made, and what the server says of itself then.

    A running snapshot would be shared with us (`rdb-only` replicas attach to it), and lack what was acknowledged since it began.
    """
    until = time.monotonic() + seconds
    while True:
        facts: dict[str, Any] = client.info()
        if facts["loading"]:
            raise PereneError("Redis is still loading", why="its content is not complete yet", exit_code=ExitCode.CANNOT_TELL)
        if facts["role"] == "slave" and facts["master_link_status"] != "up":
            raise PereneError(
                "this replica has no link to its master", why="its content is old", fix="back up the master", exit_code=ExitCode.CANNOT_TELL
            )
        if not facts["rdb_bgsave_in_progress"]:
            return facts
        if time.monotonic() > until:
            raise PereneError(f"a snapshot of the server itself runs for more than {seconds:.0f} s", exit_code=ExitCode.CANNOT_TELL)
        time.sleep(0.1)


def _warnings(facts: dict[str, Any]) -> Iterator[str]:
    if facts["rdb_last_bgsave_status"] != "ok":
        yield "the server's own last snapshot failed: look at its disk and its log"
    if facts.get("aof_enabled") and facts.get("aof_last_write_status") != "ok":
        yield "the server cannot write its append-only file: a restart would lose what is not in this set"
    if facts.get("maxmemory") and facts.get("maxmemory_policy") != "noeviction":
        yield f"maxmemory-policy {facts['maxmemory_policy']} may evict keys: what was evicted is in no set"
    if facts.get("evicted_keys"):
        yield f"{facts['evicted_keys']} keys were evicted since the server started"


def fetch(client: redis.Redis, target: Path) -> None:
    """The server's content as a snapshot file, checked from its first to its last byte."""
    settings = client.connection_pool.connection_kwargs
    where = ["-s", settings["path"]] if "path" in settings else ["-h", settings["host"], "-p", str(settings["port"])]
    user = ["--user", settings["username"]] if settings.get("username") else []
    if settings.get("ssl_ca_certs"):
        where += ["--tls", "--cacert", settings["ssl_ca_certs"]]
    secret = {"REDISCLI_AUTH": settings["password"]} if settings.get("password") else {}
    process.run(["redis-cli", *where, *user, "--no-auth-warning", "--rdb", str(target)], env=secret, what="fetching a snapshot")
    check(target)


def check(dump: Path) -> None:
    """PereneError with the checker's words when a snapshot file is not whole."""
    done = subprocess.run(["redis-check-rdb", str(dump)], env=process.environment(), capture_output=True, check=False)
    if done.returncode:
        raise process.failed(f"checking {dump.name}", "redis-check-rdb", done.returncode, done.stdout[-600:] + done.stderr[-600:])


@contextmanager
def reading(dump: Path, work: Path) -> Iterator[redis.Redis]:
    """A Redis of our own on a snapshot file.

    It runs as a replica of nobody: a master would drop the keys whose time is over while it loads, and the same file would count less
    each hour.
    """
    with tempfile.TemporaryDirectory(dir=work, prefix="redis-") as folder:
        (Path(folder) / "dump.rdb").symlink_to(dump)
        socket = Path(folder) / "socket"
        settings = {
            "port": "0",
            "unixsocket": str(socket),
            "dir": folder,
            "save": "",
            "appendonly": "no",
            "databases": str(DATABASES),
            "replicaof": "127.0.0.1 1",
            "repl-diskless-load": "disabled",
            "enable-debug-command": "local",
            "sanitize-dump-payload": "yes",
        }
        command = ["redis-server", *(word for name, value in settings.items() for word in (f"--{name}", *(value.split() or [""])))]
        client = redis.Redis(unix_socket_path=str(socket), socket_timeout=600, retry=Retry(NoBackoff(), 0))

        def ready() -> bool:
            try:
                return not client.info("persistence")["loading"]
            except redis.RedisError:
                return False

        with daemon(command, what=f"reading {dump.name}", folder=Path(folder), ready=ready, seconds=WAIT_SECONDS):
            yield client
            client.close()


def fingerprint(copy: redis.Redis) -> ItemsContent:
    """Counts and order-free hashes of a copy that `reading` made: per database its lasting keys, its streams' groups, and everything.

    Keys that expire are counted per database, and hashed in `everything` (with that they expire, not when): by the clock they leave a
    listing, and stay in the file. Memory does not grow with the number of keys.
    """
    items = {"everything": Count(rows=0, hash=ask(copy, "DEBUG", "DIGEST").decode())}
    total = 0
    for name, space in sorted(copy.info("keyspace").items()):
        ask(copy, "SELECT", name.removeprefix("db"))
        items[name] = _retried(copy, space["keys"] - space["expires"], name)
        if space["expires"]:
            items[f"{name} expiring"] = Count(rows=space["expires"], hash="")
        streams = _sum(_stream(copy, key) for keys in _lasting(copy, "TYPE", "stream") for key in keys)
        if streams.rows:
            items[f"{name} streams"] = streams
        total += space["keys"]
    ask(copy, "SELECT", 0)
    libraries = ask(copy, "FUNCTION", "LIST", "WITHCODE")
    if libraries:
        items["functions"] = _sum(repr(library).encode() for library in libraries)
    items["everything"] = items["everything"].model_copy(update={"rows": total})
    return ItemsContent(items=items)


def count(copy: redis.Redis, pattern: str, database: str) -> int:
    """Keys by pattern in a database of a copy."""
    ask(copy, "SELECT", database)
    found: set[bytes] = set()
    found.update(copy.scan_iter(match=pattern, count=CHUNK))
    ask(copy, "SELECT", 0)
    return len(found)


def _retried(copy: redis.Redis, expected: int, name: str) -> Count:
    """A listing may name keys twice while a table is resized; after that it is exact."""
    for _ in range(5):
        found = _sum(line for keys in _lasting(copy) for line in _digests(copy, keys))
        if found.rows == expected:
            return found
    raise PereneError(f"{name} lists {found.rows} lasting keys and counts {expected}", why="the copy cannot be read to the end")


def _digests(copy: redis.Redis, keys: list[bytes]) -> Iterator[bytes]:
    """Each key with the digest of its type and value."""
    digests = ask(copy, "DEBUG", "DIGEST-VALUE", *keys)
    return (key + b" " + digest for key, digest in zip(keys, digests, strict=True))


def _lasting(copy: redis.Redis, *words: str) -> Iterator[list[bytes]]:
    """The keys that do not expire, in pieces."""
    return _scanned(copy, "EVAL", LASTING, 0, words=words)


def pieces(copy: redis.Redis) -> Iterator[list[bytes]]:
    """Every key of the chosen database, in pieces. One may come twice."""
    return _scanned(copy, "SCAN")


def _scanned(copy: redis.Redis, *command: str | int, words: tuple[str, ...] = ()) -> Iterator[list[bytes]]:
    """What a command lists from cursor to cursor. words: after its COUNT."""
    cursor: Any = 0
    while True:
        cursor, keys = ask(copy, *command, cursor, "COUNT", CHUNK, *words)
        if keys:
            yield keys
        if int(cursor) == 0:
            return


def _stream(copy: redis.Redis, key: bytes) -> bytes:
    """What the digest of a stream leaves out: its last id, its consumer groups and what they have not acknowledged."""
    groups: Any = copy.xinfo_groups(key)
    stream: Any = copy.xinfo_stream(key)
    pending: Any = [copy.xpending(key, group["name"]) for group in groups]
    parts = [stream["last-generated-id"], *(sorted(entry.items()) for entry in (*groups, *pending))]
    return repr((key, parts)).encode()


def _sum(lines: Iterator[bytes]) -> Count:
    rows = total = 0
    for line in lines:
        rows += 1
        total += int.from_bytes(hashlib.sha256(line).digest()[:8], "big")
    return Count(rows=rows, hash=str(total))
