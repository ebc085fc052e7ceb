"""`perene migrate plan|rehearse|apply|revert|status|export`."""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from perene.audit import operation as audit
from perene.backup.progress import Stages
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources
from perene.contract.base import Document
from perene.contract.migration import IMPACTS, LedgerExport, MigrationPlan, MigrationStatus, RehearsalRecord
from perene.contract.values import Duration
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate import admission, ledger, plan, running, session
from perene.migrate import rehearse as rehearsal
from perene.migrate import status as statuses
from perene.migrate.deploy import Applications, Deployment
from perene.migrate.restore_point import taker
from perene.migrate.restored import newest_proven
from perene.migrate.run import Done
from perene.migrate.scripts import load
from perene.migrate.session import Limits

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Schema changes that never lose data.")
out = Console(soft_wrap=True, highlight=False)
err = Console(soft_wrap=True, highlight=False, stderr=True)

Directory = Annotated[Path, typer.Option("--directory", "-C", help="directory of NNN_name.up.sql and NNN_name.down.sql")]
Database = Annotated[str, typer.Option(help="libpq connection string without a password; default: PGHOST, PGDATABASE and so on")]
Role = Annotated[str, typer.Option(help="whom the login must be")]
Lock = Annotated[str, typer.Option(help="longest wait for one lock, like 2s")]
Statement = Annotated[str, typer.Option(help="longest statement, like 10m")]
Blocked = Annotated[str, typer.Option(help="longest that anybody may wait because of a migration, like 5s")]
Application = Annotated[str, typer.Option(help="sessions named APPLICATION/VERSION count as running versions")]
Running = Annotated[list[str] | None, typer.Option("--running", help="a version of the application that runs (may be repeated)")]
NothingRuns = Annotated[bool, typer.Option("--nothing-runs", help="no version of the application runs")]
AcceptLoss = Annotated[str, typer.Option(help="the reason why LOSES-DATA is meant")]
Keys = Annotated[Path, typer.Option(help="directory of public keys, NAME.pub")]
Json = Annotated[bool, typer.Option("--json", help="the document instead of a table")]
MIGRATIONS = Path("migrations")


def _limits(lock: str, statement: str, blocked: str) -> Limits:
    return Limits(
        lock=_duration("--lock-timeout", lock),
        statement=_duration("--statement-timeout", statement),
        blocked=_duration("--blocked-limit", blocked),
    )


def _duration(option: str, text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as wrong:
        raise PereneError(str(wrong), where=option, exit_code=ExitCode.USAGE) from None


def _tell(line: str) -> None:
    err.print(line, markup=False)


def _show(document: Document, table: Callable[[], None], *, json: bool) -> None:
    if json:
        out.print(document.to_json(), markup=False, end="")
    else:
        table()


@app.command("plan")
def plan_command(
    *,
    directory: Directory = MIGRATIONS,
    database: Database = "",
    application: Application = "",
    runs: Running = None,
    nothing_runs: NothingRuns = False,
    blocked_limit: Blocked = "5s",
    json: Json = False,
) -> None:
    """What is pending, and what each of it does. Exit 5 when something loses data, 3 when `apply` would refuse."""
    migrations = load(directory)
    limits = _limits("2s", "10m", blocked_limit)
    asked = Applications(name=application)
    with session.connect(database, limits=limits, role=None) as connection:
        versions = running.running(connection, application=asked.name, fresh=asked.fresh, named=runs or ())
        document, problems = plan.plan(connection, migrations, versions, limits=limits, none_runs=nothing_runs)
    _show(document, lambda: _print_plan(document), json=json)
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    if document.impact == "LOSES-DATA":
        raise typer.Exit(ExitCode.LOSES_DATA)


def _print_plan(document: MigrationPlan) -> None:
    if not document.pending:
        out.print(f"{document.database}: {document.applied} applied, nothing is pending", markup=False)
        return
    table = Table(title=f"{document.database}: {document.applied} applied, {len(document.pending)} pending: {document.impact}", box=None)
    for column in ("migration", "impact", "what", "lock", "size", "expected"):
        table.add_column(column, overflow="fold")
    for migration in document.pending:
        label = f"{migration.version:03d}_{migration.name}"
        table.add_row(label, migration.impact, migration.description, "", "", f"{migration.expected_ms} ms")
        for finding in migration.findings:
            size = f"{finding.table_bytes / 1e6:.1f} MB" if finding.table_bytes else ""
            table.add_row("", finding.impact, f"{finding.rule}: {finding.text}", finding.lock, size, f"{finding.expected_ms} ms")
        for advice in migration.advice:
            table.add_row("", "", f"squawk {advice.rule} (line {advice.line}): {advice.text}", "", "", "")
    out.print(table)


@app.command("apply")
def apply_command(
    *,
    directory: Directory = MIGRATIONS,
    database: Database = "",
    role: Role = "migrator",
    lock_timeout: Lock = "2s",
    statement_timeout: Statement = "10m",
    blocked_limit: Blocked = "5s",
    application: Application = "",
    runs: Running = None,
    nothing_runs: NothingRuns = False,
    accept_loss: AcceptLoss = "",
    approved: Annotated[str, typer.Option(help="the store's name: refuse without rehearsal, restore point and approval")] = "",
    evidence: Annotated[Path, typer.Option(help="directory of rehearsal.json, restore-point.json and approval.json")] = Path("evidence"),
    keys: Keys = Path("keys"),
    after: Annotated[Path | None, typer.Option(help="ledger export of the environment that must have the scripts already")] = None,
    rehearsal_age: Annotated[str, typer.Option(help="oldest rehearsal that counts")] = "24h",
    restore_point_age: Annotated[str, typer.Option(help="oldest restore point that counts")] = "30m",
    restore_point: Annotated[
        str,
        typer.Option(help="cloud-sql:PROJECT:REGION:INSTANCE takes one now, sets:REPOSITORY has the newest; default: a file"),
    ] = "",
    until: Annotated[int | None, typer.Option(help="the last version to run")] = None,
) -> None:
    """Run what is pending. Interrupted in any way, the same command goes on."""
    ages = {
        "rehearsal_age": _duration("--rehearsal-age", rehearsal_age),
        "restore_point_age": _duration("--restore-point-age", restore_point_age),
    }
    take = taker(restore_point, approved) if restore_point else None
    deployment = Deployment(
        database=database,
        migrations=load(directory),
        actor=ledger.Actor.here(directory),
        role=role,
        before=LedgerExport.read(after) if after else None,
        admission=admission.read(evidence, approved, keys=keys, take=take, **ages) if approved else None,
        limits=_limits(lock_timeout, statement_timeout, blocked_limit),
        applications=Applications(name=application, named=tuple(runs or ()), none_runs=nothing_runs),
        tell=_tell,
    )
    with _recorded("migrate-apply", directory, accept_loss=accept_loss, approved=approved):
        done = deployment.apply(accept_loss=accept_loss, until=until)
    _print_done(done, "applied")


@app.command()
def revert(
    *,
    directory: Directory = MIGRATIONS,
    database: Database = "",
    role: Role = "migrator",
    lock_timeout: Lock = "2s",
    statement_timeout: Statement = "10m",
    blocked_limit: Blocked = "5s",
    application: Application = "",
    runs: Running = None,
    nothing_runs: NothingRuns = False,
    accept_loss: AcceptLoss = "",
    to: Annotated[int | None, typer.Option(help="the version to go back to; default: take the newest out")] = None,
) -> None:
    """Take the newest migration out again. What its script drops is copied to the schema perene before."""
    deployment = Deployment(
        database=database,
        migrations=load(directory),
        actor=ledger.Actor.here(directory),
        role=role,
        limits=_limits(lock_timeout, statement_timeout, blocked_limit),
        applications=Applications(name=application, named=tuple(runs or ()), none_runs=nothing_runs),
        tell=_tell,
    )
    with _recorded("migrate-revert", directory, accept_loss=accept_loss):
        done = deployment.revert(to=to, accept_loss=accept_loss)
    _print_done(done, "reverted")


def _recorded(operation: str, directory: Path, *, accept_loss: str, approved: str = "") -> AbstractContextManager[object]:
    """In view of the audit, where a person runs it. A Job of the tier sees no repository: its record is the ledger, in every set."""
    if os.environ.get("PERENE_ACTOR"):
        return nullcontext()
    return audit.record(operation, str(directory), subject="schema", accepted_loss=accept_loss or "none", approved=approved or "no")


def _print_done(done: list[Done], word: str) -> None:
    if not done:
        out.print(f"nothing to do: every migration is {word}", markup=False)
    for one in done:
        out.print(
            f"{word} {one.migration.label} in {one.milliseconds} ms; longest wait of others {one.blocked * 1000:.0f} ms", markup=False
        )
        for line in one.kept:
            out.print(f"  kept {line}", markup=False)


@app.command("rehearse")
def rehearse_command(
    store: Annotated[str, typer.Argument(help="the store, like main")],
    *,
    copy: Annotated[str, typer.Option(help="libpq connection string of a copy restored elsewhere, which may be changed")] = "",
    recovery_set: Annotated[str, typer.Option(help="the recovery set that the copy was restored from")] = "",
    database: Annotated[str | None, typer.Option("--in", help="the database, where the store has several")] = None,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    work: sources.Work = None,
    directory: Directory = MIGRATIONS,
    role: Role = "migrator",
    lock_timeout: Lock = "2s",
    statement_timeout: Statement = "10m",
    blocked_limit: Blocked = "5s",
    record: Annotated[Path, typer.Option(help="where the record goes")] = Path("rehearsal.json"),
) -> None:
    """Restore the newest proven set, run pending, back and pending again on it; `apply` in prod asks for the record. Exit 6: it differs."""
    if bool(copy) != bool(recovery_set):
        raise PereneError("--copy and --recovery-set belong together", where=store, exit_code=ExitCode.USAGE)
    migrations = load(directory)
    with ExitStack() as restored:
        if copy:
            lent = rehearsal.Copy(database=copy, recovery_set=recovery_set, seconds=0.0)
        else:
            found = read_tier(tier, namespace)
            opened = open_repository(found, url=repository)
            place = work or Path(tempfile.gettempdir())
            lent = restored.enter_context(newest_proven(found, opened, store=store, database=database, work=place, stages=Stages()))
        document = rehearsal.rehearse(
            lent,
            migrations,
            store=store,
            actor=ledger.Actor.here(directory),
            role=role,
            limits=_limits(lock_timeout, statement_timeout, blocked_limit),
            tell=_tell,
        )
    record.write_text(document.to_json(), encoding="utf-8")
    table = Table(title=f"rehearsal on {document.recovery_set}: {'passed' if document.passed else 'FAILED'}", box=None)
    for column in ("migration", "up", "down", "again", "locks"):
        table.add_column(column, overflow="fold")
    for one in document.migrations:
        times = ["" if value is None else f"{value} ms" for value in (one.up_ms, one.down_ms, one.again_ms)]
        table.add_row(f"{one.version:03d}_{one.name}", *times, ", ".join(one.locks))
    out.print(table)
    out.print(f"{document.untouched} tables that no script names: {len(document.differing)} differ; record: {record}", markup=False)
    if not document.passed:
        raise PereneError(
            f"changed, although no script names them: {', '.join(document.differing)}", where=str(record), exit_code=ExitCode.NOT_PROVEN
        )


@app.command()
def approve(
    store: Annotated[str, typer.Argument(help="the store, like main")],
    *,
    impact: Annotated[str, typer.Option(help="what you approve, as the plan and the rehearsal say it: SAFE, LOCKS, REWRITES, LOSES-DATA")],
    approver: Annotated[str, typer.Option(help="your name, as your public key's in keys/")],
    key: Annotated[Path, typer.Option(help="your Ed25519 private key, PEM")],
    directory: Directory = MIGRATIONS,
    evidence: Annotated[Path, typer.Option(help="directory with rehearsal.json; approval.json goes there")] = Path("evidence"),
    valid: Annotated[str, typer.Option(help="how long the approval holds")] = "24h",
) -> None:
    """Another person's yes to exactly one rehearsal. Whoever wrote one of the scripts cannot give it."""
    record = RehearsalRecord.read(evidence / admission.REHEARSAL)
    if record.store != store or impact not in IMPACTS:
        raise PereneError(f"rehearsed is store {record.store}: {record.impact}", where=str(evidence), exit_code=ExitCode.USAGE)
    rehearsed = [one for one in load(directory) if one.version in {done.version for done in record.migrations}]
    with audit.record("migrate-approve", store, subject=impact, approver=approver):
        signed = admission.approve(
            record,
            impact=impact,
            authors=admission.authors_of(directory, rehearsed),
            approver=approver,
            private_key=key.read_bytes(),
            valid=_duration("--valid", valid),
        )
        (evidence / admission.APPROVAL).write_text(signed.to_json(), encoding="utf-8")
    out.print(f"approved by {approver}: {len(rehearsed)} migrations of {store}, {impact}, for {valid}", markup=False)


@app.command("status")
def status_command(
    environment: Annotated[
        list[str], typer.Option("--environment", "-e", help="NAME=CONNECTION or NAME=EXPORT.json, in the order of promotion (repeat)")
    ],
    directory: Directory = MIGRATIONS,
    json: Json = False,
) -> None:
    """Environments side by side. Exit 0 when equal or behind, 3 when they have diverged."""
    ledgers: dict[str, LedgerExport] = {}
    for given in environment:
        name, _, source = given.partition("=")
        if not source:
            raise PereneError(f"{given!r} is not NAME=SOURCE", where="--environment", exit_code=ExitCode.USAGE)
        ledgers[name] = LedgerExport.read(Path(source)) if source.endswith(".json") else _export(source, name)
    document = statuses.compare(load(directory), ledgers)
    _show(document, lambda: _print_status(document), json=json)
    if document.verdict == "diverged":
        raise PereneError(
            f"diverged: {'; '.join(document.reasons)}",
            fix="put the applied text back; see perene migrate export",
            exit_code=ExitCode.CANNOT_TELL,
        )


def _print_status(document: MigrationStatus) -> None:
    table = Table(title=f"migrations: {document.verdict}", box=None)
    for column in ("migration", *document.environments):
        table.add_column(column)
    for label, cells in document.rows.items():
        table.add_row(label, *(cells[name] for name in document.environments))
    out.print(table)
    for reason in document.reasons:
        out.print(reason, markup=False)


@app.command()
def export(
    environment: Annotated[str, typer.Argument(help="the environment's name, like prod")],
    database: Database = "",
    to: Annotated[Path | None, typer.Option(help="file; default: standard output")] = None,
) -> None:
    """The ledger and its whole audit as one document."""
    text = _export(database, environment).to_json()
    if to is None:
        out.print(text, markup=False, end="")
    else:
        to.write_text(text, encoding="utf-8")


def _export(database: str, environment: str) -> LedgerExport:
    with session.connect(database, limits=Limits(), role=None) as connection:
        return ledger.export(connection, environment)
