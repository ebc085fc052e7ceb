"""Scripts against ledger: what is pending, and every reason why nothing may run."""

from collections.abc import Iterable, Mapping, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from perene.contract.migration import AppliedMigration, LedgerExport
from perene.errors import Problem
from perene.migrate import ledger
from perene.migrate.scripts import Migration

Progress = Mapping[int, tuple[str, str]]


def unfinished(connection: Connection[TupleRow]) -> dict[int, tuple[str, str]]:
    """Version -> (action, checksum) of scripts that were begun outside a transaction and not finished."""
    if not ledger.exists(connection):
        return {}
    return {
        row[0]: (row[1], row[2]) for row in connection.execute("SELECT DISTINCT version, action, checksum FROM perene.migration_progress")
    }


def pending(migrations: Sequence[Migration], applied: Iterable[AppliedMigration]) -> tuple[Migration, ...]:
    """The migrations that the ledger does not have, in order."""
    have = {row.version for row in applied}
    return tuple(migration for migration in migrations if migration.version not in have)


def disagreements(migrations: Sequence[Migration], applied: Sequence[AppliedMigration], begun: Progress) -> list[Problem]:
    """Every difference between files and ledger that stops all work: changed, missing, out of order, begun with another text."""
    by_version = {migration.version: migration for migration in migrations}
    problems = []
    for row in applied:
        label = f"{row.version:03d}_{row.name}"
        migration = by_version.get(row.version)
        if migration is None:
            problems.append(
                Problem(
                    what=f"{label} is applied, and there is no file for it",
                    why="the directory is older than the database, or a file was removed",
                    fix="take the directory of the commit that applied it (perene migrate status shows which)",
                )
            )
            continue
        for half, script, recorded in (("up", migration.up, row.up_checksum), ("down", migration.down, row.down_checksum)):
            if script.checksum != recorded:
                problems.append(
                    Problem(
                        what=f"the {half} script of {label} has changed after it was applied",
                        where=script.path,
                        why=f"the database got sha256 {recorded[:12]}, the file is {script.checksum[:12]}",
                        fix="put the applied text back and write the change as a new migration",
                    )
                )
    newest = max((row.version for row in applied), default=-1)
    problems += [
        Problem(
            what=f"{migration.label} comes before {newest:03d}, which is applied already",
            where=migration.up.path,
            why="other environments would run them in another order",
            fix="give it the next free number",
        )
        for migration in pending(migrations, applied)
        if migration.version < newest
    ]
    for version, (action, checksum) in begun.items():
        migration = by_version.get(version)
        begun_script = None if migration is None else migration.up if action == "apply" else migration.down
        if begun_script is None or begun_script.checksum != checksum:
            problems.append(
                Problem(
                    what=f"{action} of version {version} was begun with another text",
                    where=begun_script.path if begun_script else "",
                    why="its statements are partly done",
                    fix="put the text back that was begun, finish it, and write the change as a new migration",
                )
            )
    return problems


def not_yet_in(before: LedgerExport, todo: Iterable[Migration]) -> list[Problem]:
    """Migrations that the environment before this one does not have with exactly this text."""
    have = {(row.version, row.up_checksum, row.down_checksum) for row in before.applied}
    return [
        Problem(
            what=f"{before.environment} does not have {migration.label} with this text (its ledger of {before.taken_at})",
            where=migration.up.path,
            why="it would be the first time that it runs anywhere",
            fix=f"apply it in {before.environment}, then perene migrate export {before.environment}",
        )
        for migration in todo
        if (migration.version, migration.up.checksum, migration.down.checksum) not in have
    ]


def other_action(begun: Progress, action: str) -> list[Problem]:
    """A begun script of the other direction must be finished first."""
    return [
        Problem(
            what=f"{other} of version {version} is not finished",
            why="its statements are partly done",
            fix=f"run perene migrate {other} first",
        )
        for version, (other, _) in begun.items()
        if other != action
    ]
