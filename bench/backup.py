"""Backup, restore and drill of a PostgreSQL with random payload, against pg_dump, pg_restore and pgBackRest on the same server.

PERENE_BENCH_GB is the size of the dump (0.3 unless given; docs/backups.md has 2). Everything runs on one server with its own durability
on. Ours are whole processes, from the start of the interpreter; the best of alternating runs. Wall times mean something on a quiet
machine only: beside them stand processor seconds, those of the server's backends included.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import Row
from perene.backup import process, sets
from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.drill.run import drill
from perene.drill.scratch import scratch
from perene.restore import run as restore
from tests import programs
from tests.backup.tiers import tier

ROOT = Path(__file__).parents[1]
GIGABYTES, RUNS, TABLES, BYTES_PER_ROW = 0.3, 2, 4, 131
DATABASE, PASSWORD = "shop", b"bench"
ROWS_PER_SECOND, MEMORY_MB = 0.9e6, 300
# Durable, unlike a drill's own server, with PostgreSQL's default memory for an index: what is compared is what an operator would wait for.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "shared_buffers": "512MB",
    "maintenance_work_mem": "64MB",
    "autovacuum": "off",
}
# restic cuts a stream into blobs of about 1 MiB: so many small files give an index like that of a twentieth of a terabyte.
BLOBS, BLOBS_PER_TB = 50_000, 1_000_000


def run() -> list[Row]:
    """Measure and return the rows."""
    programs.debian13()
    programs.on_path()
    with _folder() as folder, scratch(folder, SETTINGS) as server:
        return Bench(folder, server, float(os.environ.get("PERENE_BENCH_GB", GIGABYTES))).rows()


@dataclass(frozen=True)
class Ran:
    """A process of ours. seconds: wall; processor: seconds; peak: MB that it held, restic: MB that its restic held; said: its answer."""

    seconds: float
    processor: float
    peak: float
    restic: float
    said: dict[str, Any]


class Bench:
    """One server, one database, one run of everything."""

    def __init__(self, folder: Path, server: Server, gigabytes: float) -> None:
        self.folder, self.server = folder, server
        self.count = int(gigabytes * 1e9 / BYTES_PER_ROW / TABLES) * TABLES
        self.dump = folder / "plain.dump"
        self.what = f"{self.count / 1e6:.1f} M rows"
        self.postmaster = (Path(server.host) / "data" / "postmaster.pid").read_text().split()[0]

    def rows(self) -> list[Row]:
        """Every row of the table."""
        self.fill()
        repositories = [self.folder / f"repository-{number}" for number in range(RUNS)]
        for path in repositories:
            _repository(path).init()
        backups, plain = _alternate(lambda number: self.ours("backup", repositories[number]), lambda _: self.timed(self.pg_dump))
        made = min(backups, key=lambda one: one.seconds)
        fingerprint_seconds = made.said["fingerprint"]
        alone = self.timed(self.restic_alone)
        first = _size(repositories[0])
        self.sql(f"UPDATE t1 SET customer = customer + 1 WHERE id <= {self.count // 100}")
        second = self.ours("backup", repositories[0])
        grown = _size(repositories[0]) - first
        self.what = f"{self.what}, {self.dump.stat().st_size / 1e9:.2f} GB"
        restores, restored = _alternate(lambda _: self.ours("restore", repositories[0]), lambda _: self.pg_restore())
        ours = min(restores, key=lambda one: one.seconds)
        compared = ours.said["compare"]
        drilled = min((self.ours("drill", repositories[0]) for _ in range(RUNS)), key=lambda one: one.said["rto"])
        physical = self.pgbackrest()
        everyone = [*backups, second, *restores, drilled]
        return [
            Row(what=f"backup, {self.what}, without its fingerprint", against="pg_dump -Fc -Z0 | zstd", unit="s", promised=1.5,
                measured=made.seconds - fingerprint_seconds, plain=min(plain)[0]),
            Row(what="the same stream through restic alone, compressed by it", against="pg_dump -Fc -Z0 | zstd", unit="s",
                measured=alone[0], plain=min(plain)[0]),
            Row(what="backup as a whole: fingerprint, canary, verified", against="pg_dump -Fc -Z0 | zstd", unit="s",
                measured=made.seconds, plain=min(plain)[0]),
            Row(what="backup as a whole, processor", against="pg_dump -Fc -Z0 | zstd", unit="s",
                measured=min(one.processor for one in backups), plain=min(used for _, used in plain)),
            Row(what="backup as a whole", against="pgbackrest backup (zst, 2 processes)", unit="s",
                measured=made.seconds, plain=physical[0]),
            Row(what="fingerprint, a million rows on one core", against="the promise: 0.9 M rows/s", unit="s", promised=1.0,
                measured=self.fingerprint() / self.count * 1e6, plain=1e6 / ROWS_PER_SECOND),
            Row(what="second set after 1 % changed", against="5 % of the first", unit="MB", promised=1.0,
                measured=grown / 1e6, plain=first * 0.05 / 1e6),
            Row(what="restore from the repository, without its comparison", against="pg_restore -j2, local file", unit="s", promised=1.25,
                measured=ours.seconds - compared, plain=min(restored)[0]),
            Row(what="restore as a whole, compared", against="pg_restore -j2, local file", unit="s",
                measured=ours.seconds, plain=min(restored)[0]),
            Row(what="restore as a whole, processor", against="pg_restore -j2, local file", unit="s",
                measured=min(one.processor for one in restores), plain=min(used for _, used in restored)),
            Row(what="restore as a whole, compared", against="pgbackrest restore (2 processes)", unit="s",
                measured=ours.seconds, plain=physical[1]),
            Row(what="drill: restored, compared, checked", against="our restore as a whole", unit="s", promised=1.3,
                measured=drilled.said["rto"], plain=ours.seconds),
            Row(what="memory of our process, at most", against="the promise", unit="MB", promised=1.0,
                measured=max(one.peak for one in everyone), plain=MEMORY_MB),
            Row(what="memory of restic in these runs, at most", against="the promise for ours", unit="MB",
                measured=max(one.restic for one in everyone), plain=MEMORY_MB),
            Row(what="memory of restic's index, a terabyte", against="the promise for ours", unit="MB",
                measured=self.index(), plain=MEMORY_MB),
        ]  # fmt: skip

    def fill(self) -> None:
        """Rows with an index beside the key; no compressor finds anything in their payload beyond its alphabet."""
        self.sql(f"CREATE DATABASE {DATABASE}", "postgres")
        for table in range(1, TABLES + 1):
            self.sql(f"CREATE TABLE t{table} (id bigint, customer int NOT NULL, at timestamptz NOT NULL, payload text NOT NULL)")
            self.sql(
                f"INSERT INTO t{table} SELECT i, i % 100000, timestamptz '2026-01-01 00:00Z' + i * interval '1 second', "
                f"translate(encode(sha512(('{table} ' || i)::bytea), 'base64'), E'\\n', '') "
                f"FROM generate_series(1, {self.count // TABLES}) i"
            )
            self.sql(f"ALTER TABLE t{table} ADD PRIMARY KEY (id)")
            self.sql(f"CREATE INDEX ON t{table} (customer)")
        self.sql("VACUUM (ANALYZE)")
        self.sql("CHECKPOINT")

    def sql(self, text: str, database: str = DATABASE) -> None:
        """Run one statement."""
        with self.server.connect(database, autocommit=True) as connection:
            connection.execute("SET search_path = public")
            connection.execute(text.encode())

    def timed(self, work: Callable[[], None]) -> tuple[float, float]:
        """Seconds and processor seconds, from a quiet disk; those of the server's backends count when they end."""
        self.sql("CHECKPOINT")
        os.sync()
        begin, used = time.monotonic(), self.processor()
        work()
        seconds = time.monotonic() - begin
        time.sleep(0.2)
        return seconds, self.processor() - used

    def processor(self) -> float:
        """Processor seconds of all ended children, ours and the server's."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + _children_seconds(self.postmaster)

    def pg_dump(self) -> None:
        """The plain way out, with a copy of the dump for the plain way back."""
        with self.server.tools() as env:
            command = f"set -o pipefail; pg_dump -Fc -Z0 -d {DATABASE} | zstd -q -f -o {self.dump}.zst"
            process.run(["bash", "-c", command], env=env, what="the plain dump")
        if not self.dump.exists():
            process.run(["zstd", "-q", "-d", f"{self.dump}.zst", "-o", str(self.dump)], what="unpacking the plain dump")

    def restic_alone(self) -> None:
        """The dump into a repository without perene and without its packing: what restic takes for it, its opening included."""
        repository = _repository(self.folder / "repository-alone")
        repository.init()
        with self.server.tools() as env:
            command = ["pg_dump", "-Fc", "-Z0", "-d", DATABASE]
            repository.backup_command(command, path="/plain.dump", tags={"set": "plain"}, env=env)

    def pg_restore(self) -> tuple[float, float]:
        """Seconds and processor seconds of the plain way back, into a database of its own.

        It is dropped afterwards, as ours is: whoever drops one just before gets the memory that was in use a moment ago, and is faster.
        """

        def work() -> None:
            self.sql("CREATE DATABASE plain", "postgres")
            with self.server.tools() as env:
                process.run(["pg_restore", "-j2", "-d", "plain", str(self.dump)], env=env, what="the plain restore")

        taken = self.timed(work)
        self.sql("DROP DATABASE plain", "postgres")
        return taken

    def fingerprint(self) -> float:
        """Processor seconds of one connection that reads everything (a busy machine does not count)."""
        with fingerprint.freeze(self.server, DATABASE) as frozen:
            begin = _children_seconds(self.postmaster)
            fingerprint.fingerprint(frozen, connections=1)
            deadline = time.monotonic() + 5
            while (used := _children_seconds(self.postmaster) - begin) == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
        return used

    def ours(self, word: str, repository: Path) -> Ran:
        """Run one of STEPS in a process of its own, and watch its memory and that of its restic."""
        command = [sys.executable, "-c", "import sys; from bench.backup import step; step(*sys.argv[1:])"]
        words = [word, str(repository), self.server.host, str(self.folder)]
        restic, answer = [0.0], []

        def work() -> None:
            child = subprocess.Popen([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            with _watched(child.pid, restic):
                answer.append(child.communicate()[0])
            if child.returncode:
                raise RuntimeError(f"{word} failed")

        seconds, used = self.timed(work)
        said = json.loads(answer[0].splitlines()[-1])
        if word == "restore":
            self.sql(f'DROP DATABASE "{said["database"]}"', "postgres")
        return Ran(seconds, used, said["peak"], restic[0], said)

    def pgbackrest(self) -> tuple[float, float]:
        """Seconds of a physical backup and restore of the whole cluster by pgBackRest, as the server's own user."""
        place = self.folder / "pgbackrest"
        data = Path(self.server.host) / "data"
        place.mkdir()
        owner = data.stat().st_uid
        os.chown(place, owner, owner)
        common = {"stanza": "bench", "repo1-path": place / "repo", "log-path": place, "lock-path": place, "log-level-file": "off"}
        reach = {"pg1-path": data, "pg1-socket-path": self.server.host, "pg1-user": self.server.user, "pg1-database": "postgres"}

        def run(word: str, options: Mapping[str, object]) -> float:
            words = [f"--{name}={value}" for name, value in {**common, **options}.items()]
            begin = time.monotonic()
            done = subprocess.run(
                [programs.pgbackrest(), "--no-config", *words, word],
                user=owner,
                group=owner,
                cwd="/",
                env={},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"pgbackrest {word}: {done.stdout} {done.stderr}")
            return time.monotonic() - begin

        run("stanza-create", {**reach, "online": "n"})
        self.sql("CHECKPOINT")
        os.sync()
        how = {"type": "full", "compress-type": "zst", "process-max": 2, "archive-check": "n", "start-fast": "y"}
        backup = run("backup", {**reach, **how})
        back = place / "restored"
        back.mkdir()
        os.chown(back, owner, owner)
        return backup, run("restore", {"pg1-path": back, "process-max": 2, "spool-path": place})

    def index(self) -> float:
        """MB a terabyte that restic holds for its index: measured on many small blobs above an empty repository."""
        tree, peaks = self.folder / "blobs", []
        tree.mkdir()
        for number in range(BLOBS):
            (tree / f"{number:06d}").write_bytes(number.to_bytes(8, "big"))
        repository = _repository(self.folder / "repository-index")
        repository.init()
        for _ in range(2):
            restic = [0.0]
            with _watched(os.getpid(), restic):
                repository.backup_bytes(b"small", path="/small", tags={"set": "x"})
            peaks.append(restic[0])
            repository.backup_tree(tree, tags={"set": "x"})
        return (peaks[1] - peaks[0]) * BLOBS_PER_TB / BLOBS


def step(word: str, repository: str, host: str, folder: str) -> None:
    """One step of ours in this process; its seconds and its peak as a line of JSON."""
    stages, work = Stages(sys.stderr, live=False), Path(folder)
    opened = _repository(Path(repository))
    document = tier(repository, server=Server(host=host, port=5432, user="admin"), databases=(DATABASE,))
    said: dict[str, Any] = {}
    if word == "backup":
        ensure_repository(opened, stages)
        said = dict(make_set(document, opened, stages=stages).stores["main"].seconds)
    elif word == "restore":
        manifest, parts = sets.found(opened, "newest")
        planned = restore.jobs(manifest, opened, stores=document.stores, work=work, stages=stages, snapshots=parts)
        restorer, job = planned["main"]
        done = restorer.beside(job)
        if done.differences:
            raise RuntimeError(f"it came back other than it was: {done.differences[0]}")
        said = {**done.seconds, "database": f"{DATABASE}__{manifest.id.split('-')[0].lower()}"}
    else:
        record = drill(document, opened, key=None, signing_key=None, work=work, stages=stages)
        if record.verdict != "passed":
            raise RuntimeError(f"the drill failed: {record.reasons}")
        said = {"rto": record.rto_seconds}
    sys.stdout.write(json.dumps({**said, "peak": _peak("self")}) + "\n")


def _repository(path: Path) -> Repository:
    return Repository(url=str(path), password=lambda: PASSWORD, host="bench")


@contextmanager
def _folder() -> Iterator[Path]:
    """A directory that a server under another user may enter."""
    with tempfile.TemporaryDirectory(prefix="perene-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _alternate(ours: Callable[[int], Ran], plain: Callable[[int], tuple[float, float]]) -> tuple[list[Ran], list[tuple[float, float]]]:
    """Both in turn, so that a busy moment meets both. Plain: (seconds, processor seconds)."""
    pairs = [(plain(number), ours(number)) for number in range(RUNS)]
    return [pair[1] for pair in pairs], [pair[0] for pair in pairs]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _peak(process_id: str) -> float:
    """The most memory that a process has held, in MB."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _children_seconds(process_id: str) -> float:
    """Processor seconds of a process's ended children."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _watched(process_id: int, restic: list[float]) -> Iterator[None]:
    """Watch the memory of a process's restic for as long as it runs."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process_id, restic, ended))
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(parent: int, peak: list[float], ended: threading.Event) -> None:
    """The highest memory of any restic that is a child of `parent`."""
    while not ended.wait(0.05):
        # Whatever is looked at may end meanwhile.
        with suppress(OSError, IndexError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if Path(f"/proc/{child}/comm").read_text().strip() == "restic":
                        peak[0] = max(peak[0], _peak(child))
