"""Backups and restores in processes of their own, killed at some moment: a few rounds among the unit tests, two hundred in tests/chaos."""

import io
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from perene.backup import sets
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.recovery_set import PostgresContent, RecoverySet
from perene.errors import PereneError
from perene.restore import postgres
from perene.restore import run as restore
from tests.backup.tiers import tier

ROOT = Path(__file__).parents[2]
DATABASE, PASSWORD = "killed", b"a password for tests"
QUIET = Stages(io.StringIO(), live=False)
FILL = (
    "CREATE TABLE public.note (id int PRIMARY KEY, text text); CREATE TABLE public.round (id int);"
    "INSERT INTO public.note SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, {rows}) i"
)


def repository_at(path: str) -> Repository:
    """The repository of these tests."""
    return Repository(url=path, password=lambda: PASSWORD, host="test", retry_lock="10s")


def main(word: str, path: str, host: str, canary: str, limit: str) -> None:
    """What a process does until it is killed. limit: bytes that it may write into one file, as if the disk were full (0: any)."""
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    server, repository, stages = Server(host=host, port=5432, user="admin"), repository_at(path), Stages()
    document = tier(path, server=server, databases=(DATABASE,))
    try:
        if word == "backup":
            make_set(document, repository, stages=stages, with_canary=canary == "canary")
            return
        manifest = sets.load(repository, "newest")
        with tempfile.TemporaryDirectory() as work:
            planned = restore.jobs(manifest, repository, stores=document.stores, work=Path(work), stages=stages)
            restorer, job = planned["main"]
            differences = restorer.beside(job).differences
        if differences:
            raise SystemExit(f"came back other than it was: {differences[0]}")
    except PereneError as failure:
        sys.stderr.write(f"{failure}\n")
        raise SystemExit(int(failure.exit_code)) from None


@dataclass
class Victims:
    """A server, a repository and what was ever whole in it. kills: how many hit a process at work."""

    server: Server
    repository: Repository
    chance: random.Random
    whole: list[str] = field(default_factory=list)
    kills: int = 0
    healed: int = 0

    def fill(self, rows: int) -> None:
        """The database that is backed up, and a first set."""
        with self.server.connect("postgres", autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {DATABASE}")
        with self.server.connect(DATABASE, autocommit=True) as connection:
            connection.execute(FILL.format(rows=rows).encode())
        make_set(tier(self.repository.url, server=self.server, databases=(DATABASE,)), self.repository, stages=QUIET, with_canary=False)
        self.whole = self.on_hand()

    def start(self, word: str, *, canary: bool = False, limit: int = 0) -> "subprocess.Popen[str]":
        """A process, in a group of its own with all that it starts."""
        words = [word, self.repository.url, self.server.host, "canary" if canary else "", str(limit)]
        command = [sys.executable, "-c", "import sys; from tests.backup.kills import main; main(*sys.argv[1:])", *words]
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def ends(self, word: str) -> str:
        """Run to the end; what it said."""
        child = self.start(word)
        _, said = child.communicate()
        assert child.returncode == 0, said
        if word == "backup":
            self.whole = self.on_hand()
        return said

    def on_hand(self) -> list[str]:
        """Sets that are whole by the repository's own word; each must be readable, with every part."""
        snapshots = self.repository.snapshots()
        found = [one.id for one in sets.on_hand(snapshots)]
        for set_id in found:
            if set_id in self.whole:
                continue
            parts = {(one.tags.get("store"), one.path) for one in snapshots if one.tags.get("set") == set_id}
            for name, store in self.load(set_id).stores.items():
                assert {(name, part.path) for part in store.parts} <= parts, f"{set_id} is torn"
        return found

    def load(self, set_id: str) -> RecoverySet:
        """A manifest, readable."""
        return sets.load(self.repository, set_id)

    def killed(self, word: str, typical: float, *, canary: bool = False) -> None:
        """Start, kill at a random moment (the process alone, as the kernel does when memory ends, or everything, as a lost node does)."""
        child = self.start(word, canary=canary)
        try:
            child.wait(self.chance.uniform(0.15, 1.0) * typical)
        except subprocess.TimeoutExpired:
            self.kills += 1
            if self.chance.random() < 0.5:
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        child.wait()
        if child.stderr:
            child.stderr.close()

    def backup_round(self, typical: float, *, canary: bool = False) -> None:
        """A killed backup: no older set is gone, no torn one is there, and the next run heals what is left and says so."""
        with self.server.connect(DATABASE, autocommit=True) as connection:
            connection.execute("INSERT INTO public.round SELECT count(*) FROM public.round")
        self.killed("backup", typical, canary=canary)
        left = Path(self.repository.url, "locks", "perene-writer").exists()
        after = self.on_hand()
        assert after[: len(self.whole)] == self.whole, "an older set is gone"
        said = self.ends("backup")
        if left:
            assert "the lock of a dead backup" in said, "a lock that was healed is reported"
            self.healed += 1
        # Killed alone, a process leaves its restic behind, and that may still finish the manifest of a set that is whole.
        assert 1 <= len(set(self.on_hand()) - set(after)) <= 2

    def restore_round(self, typical: float) -> None:
        """A killed restore: what is there says that it is not complete, the live database is untouched, and a rerun finishes it."""
        content = self.load(self.whole[-1]).stores["main"].content
        assert isinstance(content, PostgresContent)
        self.killed("restore", typical)
        copies = self.copies()
        for name, comment in copies.items():
            if comment.endswith("complete"):
                assert not postgres.compared(self.server, name, DATABASE, content), "called complete, and is not"
        said = self.ends("restore")
        assert "compare" in said
        (copy,) = self.copies()
        assert not postgres.compared(self.server, copy, DATABASE, content)
        with self.server.connect("postgres", autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')

    def copies(self) -> dict[str, str]:
        """Databases beside the live one, with their comments."""
        query = "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname LIKE %s"
        with self.server.connect("postgres", autocommit=True) as admin:
            return {str(name): str(comment) for name, comment in admin.execute(query, [f"{DATABASE}\\_\\_%"]).fetchall()}

    def timed(self, word: str) -> float:
        """Seconds of a run that nobody kills."""
        begin = time.monotonic()
        self.ends(word)
        seconds = time.monotonic() - begin
        for copy in self.copies():
            with self.server.connect("postgres", autocommit=True) as admin:
                admin.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')
        return seconds
