"""Apply and revert as a whole: one runner, checked against ledger, application and data, then script after script."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from perene.contract.migration import Finding, LedgerExport
from perene.contract.values import Duration
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate import catalogue, ledger, running, session, state
from perene.migrate.admission import Admission
from perene.migrate.classify import classify
from perene.migrate.effects import Effects
from perene.migrate.ledger import Actor
from perene.migrate.plan import plan
from perene.migrate.run import Done, Runner
from perene.migrate.scripts import Migration
from perene.migrate.session import Limits

# What a revert copies before it takes it away (perene.migrate.keep).
_KEPT = {"drop-column", "drop-table"}


@dataclass(frozen=True, kw_only=True)
class Applications:
    """How the application's running versions are found. name: before the slash of its sessions' application_name.

    roles: those that may register; fresh: how long a registration counts; named: versions that run, by the caller's word;
    none_runs: the caller's word that no version runs.
    """

    name: str = ""
    roles: tuple[str, ...] = ("app",)
    fresh: Duration = field(default=Duration(60, "s"))
    named: tuple[str, ...] = ()
    none_runs: bool = False


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One database and the scripts of its directory.

    database: libpq connection string; role: whom the login must be; admission: the evidence that prod asks for;
    before: the ledger of the environment that must have these scripts already.
    """

    database: str
    migrations: Sequence[Migration]
    actor: Actor
    role: str = "migrator"
    limits: Limits = field(default_factory=Limits)
    admission: Admission | None = None
    before: LedgerExport | None = None
    applications: Applications = field(default_factory=Applications)
    tell: Callable[[str], None] = lambda _: None

    def apply(self, *, accept_loss: str = "", until: int | None = None) -> list[Done]:
        """Run what is pending, to version `until`. accept_loss: the reason why data may go.

        Raises PereneError: 3 with every problem before anything ran, 5 when data would be lost without a reason, 1 when a script fails.
        """
        wanted = [migration for migration in self.migrations if until is None or migration.version <= until]
        with (
            session.connect(self.database, limits=self.limits, role=self.role) as connection,
            session.sole_runner(connection, self.limits.runner),
        ):
            ledger.ensure(connection, self.applications.roles)
            todo = state.pending(wanted, ledger.applied(connection))
            if todo:
                document, problems = plan(
                    connection,
                    self.migrations,
                    self._running(connection),
                    limits=self.limits,
                    none_runs=self.applications.none_runs,
                    until=until,
                )
                problems += self.admission.problems(todo, document.impact) if self.admission else []
                problems += state.not_yet_in(self.before, todo) if self.before else []
                findings = [finding for migration in document.pending for finding in migration.findings]
            else:
                begun = state.unfinished(connection)
                problems = state.disagreements(self.migrations, ledger.applied(connection), begun) + state.other_action(begun, "apply")
                findings = []
            if self.admission:
                # Where approval is asked for, a word on the command line is none; its problems are listed above.
                accept_loss = "approved"
            _refuse(problems, [finding for finding in findings if finding.impact == "LOSES-DATA"], accept_loss)
            admission = self._with_way_back() if todo else self.admission
            return self._runner(connection, accept_loss, admission).run(todo, "apply")

    def revert(self, *, to: int | None = None, accept_loss: str = "") -> list[Done]:
        """Take the newest migration out again, or every one above version `to`, newest first.

        What a down script drops is copied before. Raises PereneError as `apply` does; 3 when one says that it cannot be reverted.
        """
        with (
            session.connect(self.database, limits=self.limits, role=self.role) as connection,
            session.sole_runner(connection, self.limits.runner),
        ):
            applied = ledger.applied(connection)
            begun = state.unfinished(connection)
            problems = state.disagreements(self.migrations, applied, begun) + state.other_action(begun, "revert")
            have = [row.version for row in applied]
            chosen = [version for version in reversed(have) if version > to] if to is not None else have[-1:]
            todo = [migration for version in chosen for migration in self.migrations if migration.version == version]
            problems += [_irreversible(migration) for migration in todo if migration.revert[0] == "impossible"]
            problems += running.conflicts(todo, "revert", self._running(connection), none_runs=self.applications.none_runs)
            effects = Effects(catalogue=catalogue.read(connection))
            findings = [finding for migration in todo for finding in classify(migration.down.statements, effects)]
            _refuse(problems, [f for f in findings if f.impact == "LOSES-DATA" and f.rule not in _KEPT], accept_loss)
            return self._runner(connection, accept_loss, self.admission).run(todo, "revert")

    def _with_way_back(self) -> Admission | None:
        if self.admission and self.admission.take:
            self.tell("taking a restore point")
            return self.admission.with_restore_point()
        return self.admission

    def _running(self, connection: session.Session) -> tuple[str, ...]:
        asked = self.applications
        return running.running(connection, application=asked.name, fresh=asked.fresh, named=asked.named)

    def _runner(self, connection: session.Session, accept_loss: str, admission: Admission | None) -> Runner:
        word = admission.evidence if admission else f"loss accepted: {accept_loss}" if accept_loss else ""
        evidence = "; ".join(filter(None, (self.actor.evidence, word)))
        actor = Actor(by=self.actor.by, commit=self.actor.commit, evidence=evidence)
        return Runner(database=self.database, connection=connection, limits=self.limits, actor=actor, tell=self.tell)


def _refuse(problems: list[Problem], losing: Iterable[Finding], accept_loss: str) -> None:
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    lost = [
        Problem(
            what=f"LOSES-DATA ({finding.rule}): {finding.text}",
            why="it cannot be had back from the database itself",
            fix="when that is meant: take a recovery set, then --accept-loss REASON",
        )
        for finding in losing
    ]
    if lost and not accept_loss:
        raise PereneError(problems=lost, exit_code=ExitCode.LOSES_DATA)


def _irreversible(migration: Migration) -> Problem:
    return Problem(
        what=f"{migration.label} cannot be reverted: {migration.revert[1]}",
        where=migration.up.path,
        why="its author says so in its header",
        fix="write a new migration that repairs forwards, or restore the recovery set of before",
    )
