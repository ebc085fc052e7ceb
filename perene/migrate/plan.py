"""What would run, what it would do to the data and to those who use it, and why it may not."""

from collections.abc import Iterable, Sequence

from perene.contract.migration import Finding, MigrationPlan, PlannedMigration
from perene.errors import Problem
from perene.migrate import catalogue, ledger, lint, running, state
from perene.migrate.classify import classify, worst
from perene.migrate.effects import ACCESS_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE, Effects
from perene.migrate.scripts import Migration, digest
from perene.migrate.session import Limits, Session

_BLOCKING = {ACCESS_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE}


def plan(
    connection: Session,
    migrations: Sequence[Migration],
    versions: Iterable[str],
    *,
    limits: Limits,
    none_runs: bool = False,
    until: int | None = None,
) -> tuple[MigrationPlan, list[Problem]]:
    """Judge every pending migration (to version `until`) against the live database, which is only read.

    versions: of the application, that run now. Returns the plan, and its problems with their places and fixes.
    """
    applied = ledger.applied(connection)
    todo = tuple(migration for migration in state.pending(migrations, applied) if until is None or migration.version <= until)
    begun = state.unfinished(connection)
    problems = state.disagreements(migrations, applied, begun) + state.other_action(begun, "apply")
    problems += running.conflicts(todo, "apply", versions, none_runs=none_runs)
    major = connection.info.server_version // 10000
    advice = lint.squawk((migration.up for migration in todo), major)
    effects = Effects(catalogue=catalogue.read(connection))
    planned = []
    for migration in todo:
        problems += lint.house_problems(migration.up) + lint.house_problems(migration.down)
        new_before = set(effects.new)
        up = classify(migration.up.statements, effects)
        # The down script is judged as it will run: what the up script made is then old and full of data.
        down = classify(migration.down.statements, Effects(catalogue=effects.catalogue))
        problems += lint.promises(migration, up, down)
        problems += _not_mine(migration, effects, new_before)
        problems += _too_long(migration, up, limits)
        planned.append(
            PlannedMigration(
                version=migration.version,
                name=migration.name,
                description=migration.description,
                up_checksum=migration.up.checksum,
                down_checksum=migration.down.checksum,
                phase="contract" if migration.contracting else "expand",
                compatible=str(migration.up.compatible),
                revert=migration.up.header.get("revert", "keeps-data"),
                transactional=migration.up.transactional,
                impact=worst(up),
                expected_ms=sum(finding.expected_ms for finding in up),
                findings=up,
                advice=advice.get(migration.up.path, ()),
            )
        )
    document = MigrationPlan(
        database=connection.info.dbname,
        applied=len(applied),
        newest=max((row.version for row in applied), default=0),
        scripts=digest(todo),
        pending=tuple(planned),
        impact=worst(finding for migration in planned for finding in migration.findings),
        problems=tuple(f"{problem.where}: {problem.what}" if problem.where else problem.what for problem in problems),
    )
    return document, problems


def _too_long(migration: Migration, findings: Iterable[Finding], limits: Limits) -> list[Problem]:
    limit = migration.up.limit("blocked-limit") or limits.blocked
    return [
        Problem(
            what=f"statement {finding.statement}: {finding.lock} on {finding.table} for {finding.expected_ms // 1000} s ({finding.text})",
            where=migration.up.path,
            why=f"others would wait longer than {limit}: it would be rolled back",
            fix="do it in steps that do not block, or give it `-- blocked-limit:` for a maintenance window",
        )
        for finding in findings
        if finding.lock in _BLOCKING and finding.expected_ms > limit.milliseconds
    ]


def _not_mine(migration: Migration, effects: Effects, new_before: set[str]) -> list[Problem]:
    problems = []
    for statement in migration.up.statements:
        if statement.kind not in {"AlterTableStmt", "IndexStmt"}:
            continue
        relation = statement.body["relation"]
        table = f"{relation.get('schemaname', 'public')}.{relation['relname']}"
        known = None if table in new_before else effects.catalogue.relations.get(table)
        if known and not known.mine:
            problems.append(
                Problem(
                    what=f"statement {statement.number} changes {table}, which belongs to a role that this login is no member of",
                    where=migration.up.path,
                    why="PostgreSQL would refuse it",
                    fix=f"as administrator: ALTER TABLE {table} OWNER TO owner",
                )
            )
    return problems
