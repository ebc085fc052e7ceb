"""Which versions of the application run now, and whether they can live with the schema that a script leaves behind."""

import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version
from psycopg import Connection
from psycopg.rows import TupleRow

from perene.contract.values import Duration
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate import ledger
from perene.migrate.run import Action
from perene.migrate.scripts import Migration, Script


def running(connection: Connection[TupleRow], *, application: str, fresh: Duration, named: Iterable[str]) -> tuple[str, ...]:
    """Versions that run: those that registered in perene.application within `fresh`, sessions whose application_name is
    `<application>/<version>` (a session counts even when its registration is old), and those named by the caller.
    """
    found = set(named)
    if ledger.exists(connection):
        rows = connection.execute(
            "SELECT version FROM perene.application WHERE seen_at > clock_timestamp() - make_interval(secs => %s)", (fresh.seconds,)
        )
        found |= {row[0] for row in rows}
    if application:
        sessions = connection.execute("SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()")
        pattern = re.compile(re.escape(application) + r"/([\w.+-]+)")
        found |= {match[1] for row in sessions if (match := pattern.fullmatch(row[0] or ""))}
    return tuple(sorted(found))


def conflicts(migrations: Iterable[Migration], action: Action, versions: Iterable[str], *, none_runs: bool) -> list[Problem]:
    """Why these scripts must wait: a version runs that cannot live with what they leave, or nobody can tell whether one does."""
    problems = []
    known = [(_version(text), text) for text in versions]
    for migration in migrations:
        script = migration.up if action == "apply" else migration.down
        if migration.contracting and action == "apply" and not known and not none_runs:
            problems.append(_unknown(migration, script))
        for version, text in known:
            if not script.compatible.contains(version, prereleases=True):
                problems.append(
                    Problem(
                        what=f"version {text} of the application runs, and {migration.label} leaves a schema for {script.compatible} only",
                        where=script.path,
                        why="it would fail, and what it tries to write would be lost",
                        fix="switch the traffic to a compatible version, stop the other one, and run this again",
                    )
                )
    return problems


def _unknown(migration: Migration, script: Script) -> Problem:
    return Problem(
        what=f"{migration.label} takes away what an older version may use, and no version of the application is known to run",
        where=script.path,
        why="an old version that has not registered would fail",
        fix="let the application register in perene.application, name what runs with --running VERSION, or say --nothing-runs",
    )


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise PereneError(
            f"{text!r} is no version that can be compared", fix="versions look like 1.4.2", exit_code=ExitCode.CANNOT_TELL
        ) from None
