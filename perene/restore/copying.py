"""The rows of a dump's tables into a database, out of the script that pg_restore makes of a stream, by several connections at a time.

pg_restore itself loads in parallel only from a whole file, which would first have to be fetched, and only table by table: here the rows of
each table go to all connections.
"""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Queue
from typing import IO, Any, NamedTuple

import psycopg

from perene.errors import PereneError
from perene.restore.indexes import Indexes

# So much is read ahead for each connection: while indexes are built too, there is not always a processor for who reads.
PIECE, AHEAD = 1 << 18, 32
# As pg_dump writes it, in the encoding of its names; in quotes stands whatever somebody called a table.
COPY = re.compile(rb'COPY (?P<table>(?:"[^"]*"|[^" ])+) (?:\((?:"[^"]*"|[^")])+\))? FROM stdin;\n')
NO_ROWS, NO_MORE_ROWS = b"\\.\n", b"\n\\.\n"
MAYBE_NO_MORE = tuple(NO_MORE_ROWS[:length] for length in range(1, len(NO_MORE_ROWS)))

Connect = Callable[[], psycopg.Connection[Any]]


class Table(NamedTuple):
    """number: how many came before; name: as SQL; copy: the statement that takes its rows."""

    number: int
    name: bytes
    copy: bytes


# Some of a table's rows, whole ones after those that went to the same connection before; without: that was all of the table for this
# connection; None: there is no more.
Rows = tuple[Table, bytes | None] | None


class BreaksOffError(PereneError):
    """The script ended in the middle of a table: whoever wrote it knows why."""


def load(connect: Connect, script: IO[bytes], connections: int, indexes: Indexes, give_up: Callable[[], None]) -> None:
    """Every table of a script of `pg_restore --file=-`; BreaksOffError, or psycopg.Error when the server refuses.

    indexes: is told of each table that is loaded; give_up: is called, by any thread, to end the script when the server has refused. What
    was loaded until then is dropped: on a full disk nothing else, not even a checkpoint, has room before that is gone.
    """
    reader = _Script(script)
    if not (found := reader.table()):
        return
    settings, tables, stop = found[0], [], threading.Event()
    parts = _Parts(indexes.loaded)
    failures: list[BaseException] = []

    def work(queue: "Queue[Rows]") -> None:
        pieces = iter(queue.get, None)
        try:
            _copy(connect, settings, pieces, parts)
        except BaseException as failure:
            # The first is the cause: another connection is then left in the middle of a row, and complains of that.
            failures.append(failure)
            stop.set()
            give_up()
            raise
        finally:
            # Whoever hands out must not wait for a place here.
            for _ in pieces:
                pass

    queues: list[Queue[Rows]] = [Queue(AHEAD) for _ in range(connections)]
    try:
        with ThreadPoolExecutor(connections) as pool:
            for queue in queues:
                pool.submit(work, queue)
            try:
                while found and not stop.is_set():
                    table = found[1]
                    tables.append(table.name)
                    _hand_out(table, reader.rows(table), queues, parts, stop)
                    found = reader.table() if not stop.is_set() else None
            except BreaksOffError:
                # Then it was ended by who gave up, and says why.
                if not stop.is_set():
                    raise
            finally:
                for queue in queues:
                    queue.put(None)
        if failures:
            raise failures[0]
    except BaseException:
        indexes.stop()
        with suppress(psycopg.Error, PereneError), connect() as connection:
            connection.execute(settings)
            for name in tables:
                connection.execute(b"DROP TABLE IF EXISTS " + name + b" CASCADE")
        raise


class _Parts:
    """How many connections are not done with their part of a table. loaded: is told its number when all are."""

    def __init__(self, loaded: Callable[[int], None]) -> None:
        self._loaded, self._left, self._lock = loaded, dict[int, int](), threading.Lock()

    def are(self, table: Table, count: int) -> None:
        """So many connections have a part."""
        self._left[table.number] = count
        if not count:
            self._loaded(table.number)

    def done(self, table: Table) -> None:
        """One of them is committed."""
        with self._lock:
            # Nobody said how many of a table that breaks off.
            left = self._left[table.number] = self._left.get(table.number, 0) - 1
        if not left:
            self._loaded(table.number)


def _hand_out(table: Table, pieces: Iterator[bytes], queues: "list[Queue[Rows]]", parts: _Parts, stop: threading.Event) -> None:
    """A table's rows to whoever has least to do; the rest of a row goes where its beginning went."""
    queue, takers = min(queues, key=Queue.qsize), set[Queue[Rows]]()
    for piece in pieces:
        if stop.is_set():
            return
        end = piece.rfind(b"\n") + 1
        if end:
            queue.put((table, piece[:end]))
            takers.add(queue)
            queue = min(queues, key=Queue.qsize)
        if end < len(piece):
            queue.put((table, piece[end:]))
            takers.add(queue)
    parts.are(table, len(takers))
    for queue in takers:
        queue.put((table, None))


def _copy(connect: Connect, settings: bytes, pieces: Iterator[tuple[Table, bytes | None]], parts: _Parts) -> None:
    """Rows of one table after the other, by one connection."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(settings)
        for table, first in pieces:
            rows = first
            with cursor.copy(table.copy) as copy:
                while rows is not None:
                    copy.write(rows)
                    # Where the script breaks off, there is no more, and the table will be dropped.
                    _, rows = next(pieces, (table, None))
            parts.done(table)


class _Script:
    """Statements and rows of a script, as they come."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.ahead, self.tables = source, b"", 0

    def table(self) -> tuple[bytes, Table] | None:
        """The next table, and what stands before its rows; None when there is no more."""
        while True:
            # Not what looks like a statement within a name that has not come to its end.
            at = self.ahead.find(b"\nCOPY ") + 1
            if at and (found := COPY.match(self.ahead, at)):
                before, self.ahead = self.ahead[:at], self.ahead[found.end() :]
                # Words for psql alone begin so.
                lines = (line for line in before.split(b"\n") if not line.startswith(b"\\"))
                table = Table(self.tables, found["table"], found[0].removesuffix(b";\n"))
                self.tables += 1
                return b"\n".join(lines), table
            if not self._more():
                return None

    def rows(self, table: Table) -> Iterator[bytes]:
        """The table's rows, in pieces that are cut anywhere; the last ends with a row."""
        while len(self.ahead) < len(NO_ROWS) and self._more():
            pass
        if self.ahead.startswith(NO_ROWS):
            self.ahead = self.ahead[len(NO_ROWS) :]
            return
        while (end := self._end()) < 0:
            if not self.ahead.endswith(MAYBE_NO_MORE):
                yield self.ahead
                self.ahead = b""
            if not self._more():
                raise BreaksOffError("the restore failed", where=table.name.decode(errors="replace"), why="its rows break off")
        yield self.ahead[: end + 1]
        self.ahead = self.ahead[end + len(NO_MORE_ROWS) :]

    def _end(self) -> int:
        """Where the rows of a table end in what is here; -1 for nowhere."""
        # A single byte is found ten times as fast, and most rows have none of these.
        possible = self.ahead.find(b"\\")
        return self.ahead.find(NO_MORE_ROWS, max(0, possible - 1)) if possible >= 0 else -1

    def _more(self) -> bool:
        piece = self.source.read(PIECE)
        # Not copied, where it need not be: this is all that is done with most of them.
        self.ahead = self.ahead + piece if self.ahead else piece
        return bool(piece)
