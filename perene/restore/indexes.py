"""The indexes and keys of tables that are loaded, built while the rows of others are still on their way."""

import re
import subprocess
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from perene.backup import process
from perene.restore import entries

# What a table's rows are enough for; whatever else an entry needs, was there before them or comes after everything.
KIND = re.compile(r"\d+; (1259 \d+ INDEX|2606 \d+ CONSTRAINT) ")
# One at a time, so that those that are left when all rows are there can be shared out; more only where tables come faster than that.
SHARE = 8


def by_table(tables: Sequence[Collection[str]], last: Sequence[str], needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """For each table the entries that can be restored as soon as its rows are there.

    tables: the numbers of each one's definition and rows; last: all entries that come after rows; needs: by entry the numbers of those that
    it needs.
    """
    of = {number: table for table, numbers in enumerate(tables) for number in numbers}
    later = {entries.number(entry) for entry in last}
    found: list[list[str]] = [[] for _ in tables]
    for entry in last:
        if KIND.match(entry) and later.isdisjoint(needs[entry]) and len(its := {of[one] for one in needs[entry] if one in of}) == 1:
            found[its.pop()].append(entry)
    return found


class Indexes:
    """A thread that builds them. start: restores some entries; failed: is called when that did not go well."""

    def __init__(
        self, tables: Sequence[Sequence[str]], start: Callable[[Sequence[str]], process.Filtering], failed: Callable[[], None]
    ) -> None:
        self._tables, self._start, self._failed = tables, start, failed
        self._waiting: list[str] = []
        self._loaded, self._to_come, self._stopped, self._changed = 0, True, False, threading.Condition()
        self._child: subprocess.Popen[bytes] | None = None
        self._pool = ThreadPoolExecutor(1)
        self._built = self._pool.submit(self._work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def loaded(self, table: int) -> None:
        """All rows of a table are there. After the last one nothing is begun: then there are processors for more than one at a time."""
        with self._changed:
            self._waiting.extend(self._tables[table])
            self._loaded += 1
            self._to_come = self._to_come and self._loaded < len(self._tables)
            self._changed.notify()

    def left(self) -> list[str]:
        """No more tables come: the entries with which nobody has begun are now the caller's."""
        with self._changed:
            left, self._waiting, self._to_come = self._waiting, [], False
            self._changed.notify()
        return left

    def join(self) -> None:
        """What was begun is built, or stopped; PereneError when it failed."""
        self._built.result()

    def stop(self) -> None:
        """Nothing is being built any more."""
        self.left()
        with self._changed:
            self._stopped = True
            if self._child:
                # It takes its statement back, too.
                self._child.terminate()
        self._pool.shutdown()

    def _work(self) -> None:
        try:
            while some := self._take():
                with self._start(some) as (child, ended):
                    with self._changed:
                        self._child = child
                        if self._stopped:
                            child.terminate()
                    if failure := ended():
                        raise failure
        except BaseException:
            if self._stopped:
                return
            self._failed()
            raise

    def _take(self) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._to_come)
            if not self._to_come:
                return []
            taken = self._waiting[: max(1, len(self._waiting) // SHARE)]
            del self._waiting[: len(taken)]
        return taken
