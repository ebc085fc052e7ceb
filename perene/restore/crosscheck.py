"""Whether what came back fits together: rows that name points or files which are not there, and the other way round.

Each side is written to a file of sorted lines while its store is up, so that neither memory nor two servers at once are needed; then the
files are merged. That the comparison would notice is shown each time: one thing is left out and one is added on purpose.
"""

import heapq
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, unquote

import psycopg
from psycopg import sql

from perene.backup import service, tree
from perene.backup.postgres.server import Server
from perene.backup.postgres.server import reach as reach_postgres
from perene.backup.qdrant import Qdrant
from perene.backup.tier import login_with
from perene.contract.cross_check import CrossCheck, Paths, Points
from perene.contract.drill import CheckResult, Difference, StoreResult
from perene.contract.tier import PostgresEndpoint, Store
from perene.errors import PereneError

NAMED = 20
PLANTED = "perene-planted-orphan"
ROWS, AGAINST = "rows", "against"


@dataclass
class Crossing:
    """The cross-checks of a tier while its stores come back. folder: where the sides are kept until they are merged."""

    checks: Mapping[str, CrossCheck]
    folder: Path
    _sides: dict[tuple[str, str], Path] = field(default_factory=dict)
    _failures: dict[str, str] = field(default_factory=dict)

    def take_rows(self, store: str, server: Server, database: str, called: str) -> None:
        """What the rows of a database name. called: how the database is called on this server."""
        for name, check in self.checks.items():
            if (check.rows.store, check.rows.database) == (store, database):
                with self._failing(name):
                    self.keep(name, ROWS, _values(server, called, check.rows.table, check.rows.column))

    def take_points(self, store: str, server: Qdrant) -> None:
        """The points of a server, by id or by a field."""
        for name, check in self.checks.items():
            if isinstance(check.against, Points) and check.against.store == store:
                with self._failing(name):
                    self.keep(name, AGAINST, _points(server, check.against))

    def take_files(self, store: str, root: Path) -> None:
        """The files below a directory."""
        for name, check in self.checks.items():
            if isinstance(check.against, Paths) and check.against.store == store:
                with self._failing(name):
                    self.keep(name, AGAINST, _files(root / check.against.below))

    def take_live(self, stores: Mapping[str, Store]) -> None:
        """Of each check of which one side came back, the other side from the running tier."""
        for name, check in self.checks.items():
            there = {side for side in (ROWS, AGAINST) if (name, side) in self._sides}
            if len(there) != 1:
                continue
            with self._failing(name):
                if ROWS not in there:
                    with _postgres(stores, check.rows.store) as server:
                        self.keep(name, ROWS, _values(server, check.rows.database, check.rows.table, check.rows.column))
                elif isinstance(check.against, Points):
                    with service.reach(_store(stores, check.against.store), check.against.store, "dump", "admin") as (reached, _):
                        live = Qdrant.at(reached)
                        self.keep(name, AGAINST, _points(live, check.against))
                else:
                    volume = _store(stores, check.against.store).volume
                    root = Path(volume.mount_path) if volume else Path("/nowhere")
                    self.keep(name, AGAINST, _files(root / check.against.below))

    def results(self, stores: Mapping[str, StoreResult], *, all_: bool) -> dict[str, StoreResult]:
        """The results of stores with what does not fit added to the referring one. all_: a check that was not made is a fault (a drill)."""
        found = dict(stores)
        for name, check in self.checks.items():
            owner = check.rows.store if check.rows.store in found else check.against.store
            sides = [self._sides.get((name, side)) for side in (ROWS, AGAINST)]
            if owner not in found or not (all_ or any(sides)):
                continue
            if sides[0] is None or sides[1] is None:
                why = self._failures.get(name, "one side did not come back")
                differences: tuple[Difference, ...] = (_difference(name, "both sides read", why),)
                checked: tuple[CheckResult, ...] = ()
            else:
                differences, checked = _judged(name, check, sides[0], sides[1])
            before = found[owner]
            found[owner] = before.model_copy(
                update={"differences": (*before.differences, *differences), "checks": (*before.checks, *checked)}
            )
        return found

    def keep(self, name: str, side: str, values: Iterable[str]) -> None:
        """One side of a check (ROWS or AGAINST), as sorted lines in a file."""
        target = self.folder / f"{len(self._sides)}"
        with tempfile.NamedTemporaryFile("w", dir=self.folder, encoding="ascii") as raw:
            raw.writelines(f"{_line(value)}\n" for value in values)
            raw.flush()
            subprocess.run(
                ["sort", "-u", f"--temporary-directory={self.folder}", f"--output={target}", raw.name],
                env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
                check=True,
            )
        self._sides[name, side] = target

    @contextmanager
    def _failing(self, name: str) -> Iterator[None]:
        """A side that cannot be read fails its check, and not the restore."""
        try:
            yield
        except (PereneError, psycopg.Error, OSError) as failure:
            self._failures[name] = str(failure).strip().splitlines()[0]


@contextmanager
def crossing(checks: Mapping[str, CrossCheck], work: Path) -> Iterator[Crossing]:
    """Cross-checks with a directory of their own below `work`."""
    with tempfile.TemporaryDirectory(dir=work, prefix="perene-cross-") as folder:
        yield Crossing(checks, Path(folder))


@contextmanager
def _postgres(stores: Mapping[str, Store], name: str) -> Iterator[Server]:
    store = _store(stores, name)
    if not isinstance(store.endpoint, PostgresEndpoint):
        raise PereneError("the store has no PostgreSQL endpoint", where=name)
    with reach_postgres(store.endpoint, login_with(store, name, "dump", "admin")) as server:
        yield server


def _store(stores: Mapping[str, Store], name: str) -> Store:
    if name not in stores:
        raise PereneError(f"the tier has no store {name}")
    return stores[name]


def _values(server: Server, database: str, table: str, column: str) -> Iterator[str]:
    """The values of a column, read by a cursor of the server."""
    name = table.split(".") if "." in table else ["public", table]
    query = sql.SQL("SELECT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(sql.Identifier(column), sql.Identifier(*name))
    with server.connect(database) as connection, connection.cursor(name="perene") as cursor:
        cursor.itersize = 10_000
        for row in cursor.execute(query):
            yield str(row[0])


def _points(server: Qdrant, wanted: Points) -> Iterator[str]:
    for point in server.points(wanted.collection, vectors=False):
        value = (point.get("payload") or {}).get(wanted.field) if wanted.field else point["id"]
        if value is not None:
            yield str(value)


def _files(root: Path) -> Iterator[str]:
    return (_value(entry.name) for entry in tree.walk(root) if entry.kind == "file")


def _judged(name: str, check: CrossCheck, rows: Path, against: Path) -> tuple[tuple[Difference, ...], tuple[CheckResult, ...]]:
    missing = orphans = 0
    differences: list[Difference] = []
    orphaned: list[Difference] = []
    with rows.open(encoding="ascii") as left, against.open(encoding="ascii") as right:
        for value, side in _unmatched(left, right):
            if side == ROWS:
                missing += 1
                if missing <= NAMED:
                    differences.append(_difference(f"{name}: {value}", _what(check), f"a row of {check.rows.table} only"))
            else:
                orphans += 1
                if orphans <= NAMED:
                    orphaned.append(_difference(f"{name}: {value}", f"a row of {check.rows.table}", f"{_what(check)} only"))
    with rows.open(encoding="ascii") as left:
        first = next(left, None)
        named = (first is not None) + sum(1 for _ in left)
    if missing > NAMED:
        differences.append(_difference(name, "every row's", f"{missing - NAMED} more are missing"))
    if orphans > check.orphans:
        differences += orphaned
        differences += [_difference(name, f"at most {check.orphans} that no row names", f"{orphans}")]
    if not _notices(first, rows, against):
        differences.append(_difference(name, "a planted orphan on each side is noticed", "it was not"))
    return tuple(differences), (CheckResult(count=f"cross-check {name}", at_least=named, found=named - missing),)


def _unmatched(rows: Iterable[str], against: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Values that stand on one side only, with the side."""
    merged = heapq.merge(((line, ROWS) for line in rows), ((line, AGAINST) for line in against))
    for line, group in groupby(merged, key=lambda pair: pair[0]):
        sides = {side for _, side in group}
        if len(sides) == 1:
            yield _value(line), sides.pop()


def _notices(gone: str | None, rows: Path, against: Path) -> bool:
    """The same comparison with one thing left out that a row names, and one added that none names: both must be found."""
    with rows.open(encoding="ascii") as left, against.open(encoding="ascii") as right:
        spoilt = heapq.merge((line for line in right if line != gone), [f"{PLANTED}\n"])
        found = {(value, side) for value, side in _unmatched(left, spoilt) if value == PLANTED or f"{_line(value)}\n" == gone}
    return found == {(PLANTED, AGAINST)} | ({(_value(gone), ROWS)} if gone else set())


def _line(value: str) -> str:
    """A value in plain letters, so that it is one line and sorts the same everywhere."""
    return quote(value, errors="surrogateescape")


def _value(line: str) -> str:
    return unquote(line.rstrip("\n"), errors="surrogateescape")


def _what(check: CrossCheck) -> str:
    return f"a point of {check.against.collection}" if isinstance(check.against, Points) else f"a file of {check.against.store}"


def _difference(where: str, expected: str, found: str) -> Difference:
    return Difference(kind="cross-check", where=where, expected=expected, found=found)
