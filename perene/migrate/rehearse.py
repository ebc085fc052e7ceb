"""A rehearsal: pending, back, and pending again on a restored copy, with times, locks, and a look at every table no script names."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import psycopg

from perene.backup.postgres.fingerprint import Table, content_of
from perene.backup.postgres.server import FIXED_OPTIONS
from perene.contract.migration import RehearsalRecord, Rehearsed
from perene.contract.recovery_set import Count
from perene.migrate import ledger, session, state
from perene.migrate.deploy import Applications, Deployment
from perene.migrate.plan import plan
from perene.migrate.run import Done
from perene.migrate.scripts import Migration, digest
from perene.migrate.session import Limits
from perene.migrate.sql import dropped, relation, walk

_TABLES = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema$|perene$)' ORDER BY pg_total_relation_size(c.oid) DESC
"""
DEFAULT = Limits()


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A restored copy that may be changed.

    database: libpq connection string of the migrator there; seconds: the restore took; known: what the restore has just compared, by
    table: it need not be read again.
    """

    database: str
    recovery_set: str
    seconds: float
    known: Mapping[str, Count] = field(default_factory=dict)


def fingerprints(database: str, tables: Iterable[str]) -> dict[str, Count]:
    """Table -> rows and an order-free hash of their text, as recovery sets record it, two tables at a time. Missing tables are left out."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda table: (table, _fingerprint(database, table)), tables)
        return {table: value for table, value in found if value is not None}


def _fingerprint(database: str, table: str) -> Count | None:
    schema, name = table.split(".", 1)
    with psycopg.connect(database, autocommit=True, options=FIXED_OPTIONS) as connection:
        try:
            rows, digest = connection.execute(content_of(Table(schema, name, whole=False))).fetchall()[0]
        except psycopg.errors.UndefinedTable:
            return None
    return Count(rows=rows, hash=digest)


def named(migrations: Iterable[Migration]) -> set[str]:
    """Every table that a script names in any role; the others must be the same afterwards."""
    found: set[str] = set()
    for migration in migrations:
        for statement in (*migration.up.statements, *migration.down.statements):
            if statement.kind == "DropStmt":
                found |= set(dropped(statement.body))
            for place in ("relation", "rel"):
                if "relname" in statement.body.get(place, {}):
                    found.add(relation(statement.body[place]))
            found |= {relation(body) for kind, body in walk(statement.body) if kind == "RangeVar"}
    return found


def rehearse(
    copy: Copy,
    migrations: Sequence[Migration],
    *,
    store: str,
    actor: ledger.Actor,
    role: str = "migrator",
    limits: Limits = DEFAULT,
    tell: Callable[[str], None] = lambda _: None,
) -> RehearsalRecord:
    """Run the pending scripts on the copy, revert those that say they can be, run them again, and compare what no script names.

    A migration that says `impossible` ends the way back. Raises PereneError as `apply` and `revert` do: then there is no record.
    """
    begin = time.monotonic()
    with session.connect(copy.database, limits=limits, role=role) as connection:
        todo = state.pending(migrations, ledger.applied(connection))
        document, _ = plan(connection, migrations, (), limits=limits, none_runs=True)
        tables = [row[0] for row in connection.execute(_TABLES.encode())]
    touched = named(todo)
    untouched = [table for table in tables if table not in touched]
    before = fingerprints(copy.database, [table for table in untouched if table not in copy.known])
    before |= {table: copy.known[table] for table in untouched if table in copy.known}
    # On the copy nothing runs and nothing can be lost; its limits are the real ones.
    deployment = Deployment(
        database=copy.database,
        migrations=migrations,
        actor=replace(actor, evidence=f"rehearsal on {copy.recovery_set}"),
        role=role,
        limits=limits,
        applications=Applications(none_runs=True),
        tell=tell,
    )
    started = time.monotonic()
    first = deployment.apply(accept_loss="rehearsal")
    back = _back(deployment, todo)
    again = deployment.apply(accept_loss="rehearsal")
    seconds = time.monotonic() - started
    after = fingerprints(copy.database, untouched)
    differing = tuple(sorted(table for table in untouched if before.get(table) != after.get(table)))
    return RehearsalRecord(
        store=store,
        scripts=digest(todo),
        recovery_set=copy.recovery_set,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=actor.by,
        commit=actor.commit,
        restore_seconds=round(copy.seconds, 3),
        migration_seconds=round(seconds, 3),
        total_seconds=round(copy.seconds + time.monotonic() - begin, 3),
        impact=document.impact,
        migrations=tuple(_times(done, back, again) for done in first),
        untouched=len(untouched),
        differing=differing,
        passed=not differing,
    )


def _back(deployment: Deployment, todo: Sequence[Migration]) -> list[Done]:
    kept = [migration.version for migration in todo if migration.revert[0] == "impossible"]
    reverted = [migration for migration in todo if migration.version > max(kept, default=-1)]
    return [done for _ in reverted for done in deployment.revert(accept_loss="rehearsal")]


def _times(done: Done, back: Iterable[Done], again: Iterable[Done]) -> Rehearsed:
    def milliseconds(others: Iterable[Done]) -> int | None:
        return next((other.milliseconds for other in others if other.migration == done.migration), None)

    return Rehearsed(
        version=done.migration.version,
        name=done.migration.name,
        up_checksum=done.migration.up.checksum,
        down_checksum=done.migration.down.checksum,
        up_ms=done.milliseconds,
        down_ms=milliseconds(back),
        again_ms=milliseconds(again),
        locks=done.locks,
    )
