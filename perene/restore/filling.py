"""The content of a dump into an empty database, while the dump is still on its way and without a copy of it.

The definitions come from its head; then its stream passes one pg_restore, which writes the tables' rows for several connections
(`copying`), and another one for large objects, where there are some. Indexes come from the head again, as soon as their table is loaded
(`indexes`), then everything else, in parallel, rights last.
"""

import os
import re
import select
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, cast

import psycopg

from perene.backup import packer, process
from perene.backup.arriving import PIECE, Arriving, written
from perene.backup.postgres.server import Server
from perene.errors import PereneError
from perene.restore import copying, entries, indexes
from perene.restore.marks import named
from perene.restore.timescale import fill as fill_timescale

# Fast, and still safe: the mark of completeness is written by a synchronous commit, which flushes everything before it.
FASTER = "-c synchronous_commit=off -c statement_timeout=0 -c lock_timeout=0"
# KB that all indexes which are built at once share, unless the server's own setting gives each more: a small server, and a drill's beside
# its job, have 1 GiB for everything, and as many processors as their node.
BUILDING = 256 << 10
# A table has one number, whether its definition is listed or its rows.
TABLE = re.compile(r"\d+; 1259 (?P<oid>\d+) TABLE ")
ROWS = re.compile(r"\d+; 0 (?P<oid>\d+) TABLE DATA ")
# What else has content in the stream, and not in the head: large objects, and the tables of extensions.
CONTENT = re.compile(r"\d+; \d+ \d+ (TABLE DATA|BLOB METADATA|BLOBS) ")
# As in a dump that is restored in one piece: rights after everything else, so that none is in the way of what is loaded.
RIGHTS = re.compile(r"\d+; \d+ \d+ (DEFAULT )?ACL ")
HEAD = 1 << 18
# Until who waits for more sees that nobody wants it.
STOP_SECONDS = 0.2


def fill(
    server: Server,
    dump: Arriving,
    database: str,
    *,
    folder: Path,
    timescale: str | None,
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """The content of a dump into an empty database, or PereneError.

    folder: for the head of the dump; timescale: the extension's version when it was dumped, and then the folder must have room for all of
    it; progress: is told the bytes that were read.
    """
    workers = jobs or min(8, os.cpu_count() or 2)
    with server.tools() as env, named(database):
        filling = _Filling(server, dump, database, folder / "head", env | {"PGOPTIONS": _options(server, database, workers)})
        if timescale is not None:
            with filling.head.open("wb") as file:
                dump.save(file, progress)
            fill_timescale(server, filling.head, database, timescale, words=filling.words, workers=workers, env=filling.env)
            return
        listed = filling.listed()
        first = [line for line in entries.listed(filling.head, "--section=pre-data", what=filling.what) if not RIGHTS.match(line)]
        made = {found["oid"]: entries.number(line) for line in first if (found := TABLE.match(line))}
        numbers = {
            line: (entries.number(line), made[found["oid"]]) for line in listed if (found := ROWS.match(line)) and found["oid"] in made
        }
        tables = list(numbers)
        done = frozenset([*first, *tables])
        rest = [line for line in listed if line not in done]
        others = [line for line in rest if CONTENT.match(line)]
        last = [line for line in rest if not CONTENT.match(line)]
        early = indexes.by_table(list(numbers.values()), last, entries.needs(filling.head, what=filling.what))
        filling.restore("first", first)
        filling.load(tables, others, early, workers, progress)
        built = frozenset(line for some in early for line in some)
        filling.restore("last", [line for line in last if line not in built], f"--jobs={workers}")


def _options(server: Server, database: str, workers: int) -> str:
    """What pg_restore's connections ask the server for. workers: how many indexes are built at once, at most."""
    with server.connect(database) as connection:
        own = connection.execute("SELECT setting FROM pg_settings WHERE name = 'maintenance_work_mem'").fetchall()[0][0]
    return f"{FASTER} -c maintenance_work_mem={max(int(str(own)), BUILDING // workers)}kB"


class _Filling:
    """One dump on its way into one database. head: the file for its beginning; env: for pg_restore."""

    def __init__(self, server: Server, dump: Arriving, database: str, head: Path, env: Mapping[str, str]) -> None:
        self.server, self.dump, self.database, self.head, self.env = server, dump, database, head, env
        self.what = f"restoring {database}"
        self.words = ["pg_restore", "--exit-on-error", "--no-password", "--no-tablespaces", f"--dbname={database}"]

    def listed(self) -> list[str]:
        """The entries of the dump, from as much of it as that takes, which is then in the file."""
        wanted = 0
        with written(str(self.head)), self.head.open("wb") as file:
            while True:
                wanted = max(HEAD, 2 * wanted)
                while file.tell() < wanted and (piece := os.read(self.dump.pipe, PIECE)):
                    file.write(piece)
                file.flush()
                try:
                    return entries.listed(self.head, what=self.what)
                except PereneError:
                    if file.tell() < wanted:
                        # What ended too early says why itself.
                        self.dump.wait()
                        raise

    def restore(self, name: str, lines: Sequence[str], *options: str) -> None:
        """Some entries that are all in the head."""
        process.run([*self.words, *options, entries.only(self.head, name, lines), str(self.head)], env=self.env, what=self.what)

    def load(
        self,
        tables: Sequence[str],
        others: Sequence[str],
        early: Sequence[Sequence[str]],
        workers: int,
        progress: Callable[[int], None],
    ) -> None:
        """All that has content in the stream, to its end, and the indexes. early: those of each table."""
        script = ["pg_restore", "--file=-", entries.only(self.head, "tables", tables)]
        direct = [*self.words, entries.only(self.head, "others", others)]
        stop = threading.Event()
        failures: list[PereneError] = []
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(1))
            writer, ended = stack.enter_context(process.filtering(script, what=self.what))
            children, ends = [writer], [ended]
            if others:
                other, also_ended = stack.enter_context(process.filtering(direct, what=self.what, stdout=subprocess.DEVNULL, env=self.env))
                children, ends = [writer, other], [ended, also_ended]
            out = cast(IO[bytes], writer.stdout)
            into = [cast(IO[bytes], child.stdin) for child in children]
            for pipe in (*into, out):
                packer.roomy(pipe)

            def give_up() -> None:
                stop.set()
                for child in children:
                    child.terminate()

            building = stack.enter_context(indexes.Indexes(early, self._index, give_up))
            poured = pool.submit(self._pour, into, stop, progress)
            try:
                copying.load(self._connect, out, max(2, workers // 2), building, give_up)
            except copying.BreaksOffError as cut:
                failures = [cut]
            except BaseException:
                give_up()
                raise
            finally:
                # Who writes for nobody ends.
                out.close()
                poured.result()
                failures = [failure for end in ends if (failure := end())] or failures
            if stop.is_set():
                # An index ended it.
                building.stop()
                building.join()
            self.dump.wait()
            if failures:
                raise failures[0]
            if left := building.left():
                # Beside the one that is under way: no more memory than for the others in the end.
                self.restore("indexes", left, f"--jobs={max(1, workers - 1)}")
            building.join()

    def _index(self, lines: Sequence[str]) -> process.Filtering:
        """Some indexes, by a program of their own. The server's other processors have enough to do."""
        env = {**self.env, "PGOPTIONS": f"{self.env['PGOPTIONS']} -c max_parallel_maintenance_workers=0"}
        command = [*self.words, entries.only(self.head, "index", lines), str(self.head)]
        return process.filtering(command, what=self.what, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env)

    def _connect(self) -> psycopg.Connection[Any]:
        connection = self.server.connect(self.database, autocommit=True)
        connection.execute("SET synchronous_commit = off")
        return connection

    def _pour(self, into: Sequence[IO[bytes]], stop: threading.Event, progress: Callable[[int], None]) -> None:
        """The dump to everyone who still reads, and to its end, so that who sends it can say whether it was whole."""
        readers = list(into)
        head = self.head.read_bytes()
        done = moved = len(head)
        try:
            self._write(head, readers)
            while moved and not stop.is_set():
                progress(done)
                if not select.select([self.dump.pipe], [], [], STOP_SECONDS)[0]:
                    continue
                if len(readers) == 1:
                    try:
                        moved = os.splice(self.dump.pipe, readers[0].fileno(), PIECE)
                    except BrokenPipeError:
                        readers.clear()
                        continue
                else:
                    piece = os.read(self.dump.pipe, PIECE)
                    moved = len(piece)
                    self._write(piece, readers)
                done += moved
        finally:
            for reader in into:
                with suppress(BrokenPipeError):
                    reader.close()

    @staticmethod
    def _write(piece: bytes, readers: list[IO[bytes]]) -> None:
        """To all, without those who want no more."""
        for reader in tuple(readers):
            try:
                reader.write(piece)
                reader.flush()
            except BrokenPipeError:
                readers.remove(reader)
