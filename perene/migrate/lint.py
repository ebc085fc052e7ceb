"""What a script may not hold, by our rules, and what squawk advises."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from perene.contract.migration import Advice, Finding
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate.scripts import Migration, Script

# Rules of squawk that contradict how perene runs scripts: it sets both limits itself, wraps scripts in a transaction with their
# ledger row (so that nothing is half done and IF NOT EXISTS only hides a wrong start), and leaves matters of taste to their owners.
NOT_ASKED = (
    "require-timeout-settings", "require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts", "prefer-text-field",
    "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity", "prefer-timestamp-tz",
    "ban-concurrent-index-creation-in-transaction",
)  # fmt: skip
_SERVER, _ROLES, _OUTSIDE = "it is configuration of the server", "roles are declared in the tier", "it reaches outside the schema"
_FORBIDDEN = {
    "TransactionStmt": "it begins or ends a transaction: the ledger's row would not be in the script's own",
    "DropdbStmt": "a database is never dropped by a deploy",
    **dict.fromkeys(
        ("AlterSystemStmt", "AlterDatabaseSetStmt", "AlterDatabaseStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt"), _SERVER
    ),
    **dict.fromkeys(("CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt"), _ROLES),
    **dict.fromkeys(("CreatedbStmt", "CopyStmt", "LoadStmt", "ListenStmt", "DiscardStmt", "PrepareStmt"), _OUTSIDE),
}
_SETTINGS = {
    "lock_timeout", "statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout", "role",
    "session_authorization", "session_replication_role",
}  # fmt: skip
_WIDE_REINDEX = {"REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE", "REINDEX_OBJECT_SCHEMA"}


def house_problems(script: Script) -> list[Problem]:
    """Statements that no script may hold."""

    def problem(number: int, what: str, why: str, fix: str) -> Problem:
        return Problem(what=f"statement {number}: {what}", where=script.path, why=why, fix=fix)

    problems = []
    for statement in script.statements:
        number = statement.number
        if why := _FORBIDDEN.get(statement.kind):
            problems.append(problem(number, f"{statement.text.split(None, 1)[0].upper()} may not stand in a migration", why, "take it out"))
        elif statement.kind == "VariableSetStmt" and (statement.body.get("name") in _SETTINGS or statement.body["kind"] == "VAR_RESET_ALL"):
            problems.append(
                problem(
                    number,
                    f"it sets {statement.body.get('name', 'everything')}",
                    "the limits that protect others are the runner's",
                    "use the header: -- statement-timeout: 10m",
                )
            )
        elif statement.kind == "IndexStmt" and statement.concurrent and "idxname" not in statement.body:
            problems.append(
                problem(
                    number,
                    "an index that is built CONCURRENTLY needs a name",
                    "an interrupted one could not be found and finished",
                    "name it",
                )
            )
        elif statement.kind == "ReindexStmt" and statement.concurrent and statement.body["kind"] in _WIDE_REINDEX:
            problems.append(problem(number, "REINDEX of more than one table", "it is maintenance, not a change", "take it out"))
        elif statement.kind == "AlterTableStmt" and statement.concurrent and len(statement.body["cmds"]) > 1:
            problems.append(problem(number, "DETACH CONCURRENTLY with other commands", "PostgreSQL refuses it", "one statement each"))
    return problems


def promises(migration: Migration, up: Sequence[Finding], down: Sequence[Finding]) -> list[Problem]:
    """The header against what the scripts really do: phase and revert must be true."""
    problems = []
    if not migration.contracting and (found := next((f for f in up if f.contracts), None)):
        problems.append(
            Problem(
                what=f"statement {found.statement} takes away what the running version may use ({found.rule}: {found.text})",
                where=migration.up.path,
                why="the header says phase expand: it would run while the old version runs",
                fix="split it: expand now; take away in a later one with `-- phase: contract` and `-- compatible: >=VERSION`",
            )
        )
    kind, _ = migration.revert
    statements = migration.down.statements
    if kind == "impossible" and statements:
        problems.append(
            Problem(
                what="the header says that nothing can be reverted, the down script has statements",
                where=migration.down.path,
                fix="make both say the same",
            )
        )
    if kind != "impossible" and not statements and migration.up.statements:
        problems.append(
            Problem(
                what="the down script is empty",
                where=migration.down.path,
                why="nothing could be reverted",
                fix="write it, or `-- revert: impossible: why` in the up script",
            )
        )
    if kind == "keeps-data" and (lost := next((f for f in down if f.impact == "LOSES-DATA"), None)):
        problems.append(
            Problem(
                what=f"the header says keeps-data, and statement {lost.statement} of the down script loses it ({lost.text})",
                where=migration.down.path,
                why="values written meanwhile would be gone",
                fix="-- revert: loses-data: which values, and what becomes of them (dropped columns and tables are copied first)",
            )
        )
    return problems


def squawk(scripts: Iterable[Script], major: int) -> dict[str, tuple[Advice, ...]]:
    """Path -> squawk's remarks. PereneError (exit 3) when squawk is not installed or does not answer."""
    paths = [script.path for script in scripts]
    if not paths:
        return {}
    beside = Path(sys.executable).with_name("squawk")
    program = str(beside) if beside.exists() else shutil.which("squawk")
    if program is None:
        raise PereneError(
            "squawk is not installed",
            why="scripts would not be linted",
            fix="pip install -r requirements-ops.txt",
            exit_code=ExitCode.CANNOT_TELL,
        )
    command = [
        program,
        "--reporter",
        "json",
        "--assume-in-transaction",
        f"--pg-version={major}.0",
        f"--exclude={','.join(NOT_ASKED)}",
        *paths,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    if result.returncode not in {0, 1}:  # 1: it has remarks
        raise PereneError(f"squawk failed: {(result.stderr or result.stdout).strip()[:300]}", exit_code=ExitCode.CANNOT_TELL)
    found: dict[str, list[Advice]] = {}
    for remark in json.loads(result.stdout):
        text = " ".join(filter(None, (remark["message"], remark["help"])))
        found.setdefault(remark["file"], []).append(Advice(rule=remark["rule_name"], line=remark["line"] + 1, text=text))
    return {path: tuple(advice) for path, advice in found.items()}
