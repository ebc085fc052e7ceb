"""The content of a dump into an empty database, while the dump is still on its way.

pg_restore works in parallel on whole files only. So the definitions come from the head of the file; then several pg_restore read it from
its beginning as it grows, each loads its share of the tables and skips the others'; indexes, constraints and rights come last, in parallel.
"""

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, cast

from perene.backup import process
from perene.backup.arriving import WAIT_SECONDS, Arriving
from perene.backup.postgres.server import Server
from perene.errors import PereneError
from perene.restore import entries
from perene.restore.marks import named
from perene.restore.timescale import fill as fill_timescale

# Fast, and still safe: the mark of completeness is written by a synchronous commit, which flushes everything before it.
FASTER = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"
TABLE = re.compile(r"\d+; \d+ \d+ TABLE DATA (?P<name>.+) \S+")
# As in a dump that is restored in one piece: rights after everything else, so that none is in the way of what is loaded.
RIGHTS = re.compile(r"\d+; \d+ \d+ (DEFAULT )?ACL ")


def fill(
    server: Server,
    dump: Arriving,
    database: str,
    *,
    timescale: str | None,
    rows: Mapping[str, int],
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """The content of a dump into an empty database, or PereneError.

    timescale: the extension's version when it was dumped; rows: `schema.table` -> rows, as far as they are known; progress: is told the
    bytes that were read.
    """
    workers = jobs or min(8, os.cpu_count() or 2)
    words = ["pg_restore", "--exit-on-error", "--no-password", "--no-tablespaces", f"--dbname={database}"]
    with server.tools() as env, named(database):
        environment = env | {"PGOPTIONS": FASTER}
        if timescale is not None:
            dump.wait()
            fill_timescale(server, dump.path, database, timescale, words=words, workers=workers, env=environment)
            return
        loading = _Loading(dump, words, environment, f"restoring {database}")
        listed = loading.listed()
        rights = [line for line in listed if RIGHTS.match(line)]
        first, data = (_without(loading.section(name), rights) for name in ("pre-data", "data"))
        loading.restore("first", first)
        alone = _has_foreign_keys(server, database)
        loading.load(shares(data, rows, 1 if alone else workers), progress)
        dump.wait()
        loading.restore("last", _without(listed, [*first, *data]), f"--jobs={workers}")


def shares(data: Sequence[str], rows: Mapping[str, int], count: int) -> list[list[str]]:
    """The entries of a dump's data in so many lists of about as many rows, each in the dump's order, none of them empty."""
    made: list[list[str]] = [[] for _ in range(count)]
    load = [0] * count
    for line in data:
        table = TABLE.match(line)
        # Large objects and sequences stay together: their entries belong to each other.
        least = load.index(min(load)) if table else 0
        made[least].append(line)
        load[least] += 1 + (rows.get(table["name"].replace(" ", ".", 1), 0) if table else 0)
    return [one for one in made if one]


class _Loading:
    """One dump on its way into one database. words: pg_restore with its options."""

    def __init__(self, dump: Arriving, words: Sequence[str], env: Mapping[str, str], what: str) -> None:
        self.dump, self.words, self.env, self.what = dump, words, env, what

    def listed(self) -> list[str]:
        """Every entry of the dump, as soon as its head is here."""
        tried = 0
        while True:
            last, size = self.dump.ended(), self.dump.path.stat().st_size
            if last or size >= max(1, 2 * tried):
                tried = size
                try:
                    return self.section()
                except PereneError:
                    if last:
                        # What ended too early says why itself.
                        self.dump.wait()
                        raise
            time.sleep(WAIT_SECONDS)

    def section(self, *names: str) -> list[str]:
        """The entries of some sections, of all without a name."""
        return entries.listed(self.dump.path, *(f"--section={name}" for name in names), what=self.what)

    def restore(self, name: str, lines: Sequence[str], *options: str) -> None:
        """Some entries from the file itself."""
        command = [*self.words, *options, entries.only(self.dump.path, name, lines), str(self.dump.path)]
        process.run(command, env=self.env, what=self.what)

    def load(self, parts: Sequence[Sequence[str]], progress: Callable[[int], None]) -> None:
        """Data, each part by a pg_restore of its own. The first failure ends the others."""
        stop, read = threading.Event(), [0] * len(parts)

        def load(number: int) -> PereneError | None:
            def go_on(at: int) -> bool:
                read[number] = at
                progress(min(read))
                return not stop.is_set()

            command = [*self.words, entries.only(self.dump.path, f"data-{number}", parts[number])]
            with process.filtering(command, what=self.what, stdout=subprocess.DEVNULL, env=self.env) as (child, ended):
                into = cast(IO[bytes], child.stdin)
                try:
                    self.dump.pour(into.fileno(), go_on)
                finally:
                    into.close()
                    failure = ended()
            if failure and not stop.is_set():
                stop.set()
                return failure
            return None

        with ThreadPoolExecutor(max(1, len(parts))) as pool:
            try:
                failures = [failure for failure in pool.map(load, range(len(parts))) if failure]
            finally:
                stop.set()
        if failures:
            if self.dump.ended():
                self.dump.wait()
            raise failures[0]


def _without(lines: Sequence[str], left_out: Sequence[str]) -> list[str]:
    out = frozenset(left_out)
    return [line for line in lines if line not in out]


def _has_foreign_keys(server: Server, database: str) -> bool:
    """Whether there are some before any data: an extension's own, between tables whose content is dumped in an order that keeps them."""
    with server.connect(database, autocommit=True) as connection:
        return bool(connection.execute("SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f')").fetchall()[0][0])
