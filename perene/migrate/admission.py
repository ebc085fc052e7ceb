"""What must be true before scripts run in prod: rehearsed exactly so, restorable to just now, approved by another person."""

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perene.contract.approval import Signed
from perene.contract.migration import IMPACTS, Impact, MigrationApproval, RehearsalRecord
from perene.contract.values import Duration
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate import restore_point
from perene.migrate.restore_point import RestorePoint
from perene.migrate.scripts import Migration
from perene.safety import signing

REHEARSAL, RESTORE_POINT, APPROVAL = "rehearsal.json", "restore-point.json", "approval.json"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The evidence for one store, and how old it may be. take: has a restore point made, once everything else holds."""

    store: str
    rehearsal: RehearsalRecord | None
    restore_point: RestorePoint | None
    approval: MigrationApproval | None
    now: datetime
    rehearsal_age: Duration
    restore_point_age: Duration
    take: Callable[[], RestorePoint] | None = None

    def problems(self, todo: Sequence[Migration], impact: Impact) -> list[Problem]:
        """Why these scripts, judged as `impact` on the live database, may not run; none when they may."""
        return [*self._rehearsal(todo), *(() if self.take else self._restore_point()), *self._approval(impact)]

    def with_restore_point(self) -> "Admission":
        """The same with a restore point taken now where one is to be taken. PereneError (exit 3) when it will not do."""
        if self.take is None:
            return self
        point = self.take()
        taken = replace(self, restore_point=point, take=None, now=datetime.now(UTC))
        if problems := taken._restore_point():
            raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
        return taken

    @property
    def evidence(self) -> str:
        """One line for the audit: which rehearsal and which restore point."""
        rehearsed = f"rehearsed {self.rehearsal.finished_at} on {self.rehearsal.recovery_set}" if self.rehearsal else ""
        point = (
            f"restore point {self.restore_point.name} of {self.restore_point.at.isoformat(timespec='seconds')}"
            if self.restore_point
            else ""
        )
        approved = f"approved by {self.approval.approver} for {self.approval.impact}" if self.approval else ""
        return "; ".join(filter(None, (rehearsed, point, approved)))

    def _rehearsal(self, todo: Sequence[Migration]) -> list[Problem]:
        record, again = self.rehearsal, f"perene migrate rehearse {self.store}"
        if record is None:
            return [_missing(REHEARSAL, "nobody has seen these scripts run on this data", again)]
        wrong = []
        if not record.passed:
            wrong.append("the rehearsal did not pass")
        if record.store != self.store:
            wrong.append(f"the rehearsal is of store {record.store}")
        # A part of it is enough: what an interrupted run has finished is no longer pending.
        pending = [(m.version, m.up.checksum, m.down.checksum) for m in todo]
        rehearsed = [(m.version, m.up_checksum, m.down_checksum) for m in record.migrations]
        if not any(rehearsed[start : start + len(pending)] == pending for start in range(len(rehearsed))):
            wrong.append(f"the rehearsal is of other scripts than the {len(pending)} pending ones")
        age = self.now - datetime.fromisoformat(record.finished_at)
        if age > self.rehearsal_age.timedelta:
            wrong.append(f"the rehearsal is {_hours(age)} old, {self.rehearsal_age} is the limit")
        return [Problem(what=what, where=REHEARSAL, why="what was shown is not what would happen now", fix=again) for what in wrong]

    def _restore_point(self) -> list[Problem]:
        point, again = self.restore_point, "perene backup, or --restore-point cloud-sql:... which takes one; then at once apply"
        if point is None:
            return [_missing(RESTORE_POINT, "there would be no way back to just before", again)]
        wrong = []
        if point.store not in {"", self.store}:
            wrong.append(f"the restore point {point.name} does not hold store {self.store}")
        age = self.now - point.at
        if age > self.restore_point_age.timedelta:
            wrong.append(f"the restore point {point.name} is {_hours(age)} old, {self.restore_point_age} is the limit")
        return [
            Problem(what=what, where=RESTORE_POINT, why="what was written since would be lost by going back", fix=again) for what in wrong
        ]

    def _approval(self, impact: Impact) -> list[Problem]:
        approval, again = self.approval, f"another person runs perene migrate approve {self.store}"
        if approval is None:
            return [_missing(APPROVAL, "nobody else has looked at what these scripts do", again)]
        wrong = []
        if approval.store != self.store:
            wrong.append(f"the approval is of store {approval.store}")
        if self.rehearsal and approval.rehearsal != signing.digest(self.rehearsal):
            wrong.append("the approval is of another rehearsal")
        if IMPACTS.index(impact) > IMPACTS.index(approval.impact):
            wrong.append(f"on this database the scripts are {impact}, approved is {approval.impact}")
        if approval.approver in approval.authors:
            wrong.append(f"{approval.approver} wrote the scripts and approved them")
        if self.now > datetime.fromisoformat(approval.expires):
            wrong.append(f"the approval expired at {approval.expires}")
        return [Problem(what=what, where=APPROVAL, why="two people must agree on exactly this", fix=again) for what in wrong]


def approve(
    record: RehearsalRecord, *, impact: Impact, authors: Sequence[str], approver: str, private_key: bytes, valid: Duration
) -> Signed:
    """Sign a yes to one rehearsal. impact: what the approver believes to approve.

    PereneError (exit 3) when that is not what was rehearsed, the rehearsal did not pass, or the approver wrote the scripts.
    """
    if impact != record.impact:
        raise PereneError(f"the rehearsed scripts are {record.impact}, not {impact}", fix="read the plan", exit_code=ExitCode.CANNOT_TELL)
    if not record.passed or approver in authors:
        what = f"{approver} wrote the scripts" if approver in authors else "the rehearsal did not pass"
        raise PereneError(
            what, why="two people must agree on something that was shown to work", fix="ask another person", exit_code=ExitCode.CANNOT_TELL
        )
    now = datetime.now(UTC)
    approval = MigrationApproval(
        store=record.store,
        rehearsal=signing.digest(record),
        impact=impact,
        authors=tuple(authors),
        approver=approver,
        at=now.isoformat(timespec="seconds"),
        expires=(now + valid.timedelta).isoformat(timespec="seconds"),
    )
    return signing.sign(approval, private_key, approver)


def authors_of(directory: Path, migrations: Iterable[Migration]) -> tuple[str, ...]:
    """The e-mail addresses of everybody who has a commit on these scripts. PereneError (exit 3) outside a git checkout."""
    paths = [str(Path(script.path).resolve()) for migration in migrations for script in (migration.up, migration.down)]
    command = ["git", "-C", str(directory), "log", "--format=%ae", "--", *paths]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PereneError(
            f"git does not say who wrote the scripts: {error}", where=str(directory), exit_code=ExitCode.CANNOT_TELL
        ) from None
    found = tuple(sorted(set(result.stdout.split())))
    if not found:
        raise PereneError(
            "the scripts are not committed",
            where=str(directory),
            fix="commit them; what is approved is in git",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return found


def read(
    directory: Path,
    store: str,
    *,
    keys: Path,
    rehearsal_age: Duration,
    restore_point_age: Duration,
    take: Callable[[], RestorePoint] | None = None,
) -> Admission:
    """The evidence in a directory: rehearsal.json, approval.json, and restore-point.json unless one is taken. A gap is a problem later.

    keys: directory of public keys. PereneError (exit 3) when the approval's signature does not hold.
    """
    rehearsal, point, approval = directory / REHEARSAL, directory / RESTORE_POINT, directory / APPROVAL
    return Admission(
        store=store,
        rehearsal=RehearsalRecord.read(rehearsal) if rehearsal.exists() else None,
        restore_point=restore_point.read(point, store) if point.exists() else None,
        approval=read_approval(approval, keys) if approval.exists() else None,
        now=datetime.now(UTC),
        rehearsal_age=rehearsal_age,
        restore_point_age=restore_point_age,
        take=take,
    )


def read_approval(path: Path, keys: Path) -> MigrationApproval:
    """A signed approval whose signer is the approver it names. PereneError (exit 3) when its signature does not hold."""
    signed = Signed.read(path)
    approval = signing.verified(signed, MigrationApproval, keys, str(path))
    if signed.signature.signer != approval.approver:
        raise PereneError(
            f"{signed.signature.signer} signed in the name of {approval.approver}", where=str(path), exit_code=ExitCode.CANNOT_TELL
        )
    return approval


def _missing(file: str, why: str, fix: str) -> Problem:
    return Problem(what="is missing", where=file, why=why, fix=fix)


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} h"
