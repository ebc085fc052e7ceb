"""What must be true before scripts run in prod: rehearsed exactly so, restorable to just now, approved by another person."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perene.contract.approval import Signed
from perene.contract.migration import IMPACTS, Impact, MigrationApproval, RehearsalRecord
from perene.contract.values import Duration
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate.scripts import Migration
from perene.safety import signing

REHEARSAL, RESTORE_POINT, APPROVAL = "rehearsal.json", "restore-point.json", "approval.json"


@dataclass(frozen=True, kw_only=True)
class RestorePoint:
    """Where the store can be brought back to. name: recovery set or backup; store: empty where the source does not say; at: its end."""

    name: str
    store: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The evidence for one store, and how old it may be."""

    store: str
    rehearsal: RehearsalRecord | None
    restore_point: RestorePoint | None
    approval: MigrationApproval | None
    now: datetime
    rehearsal_age: Duration
    restore_point_age: Duration

    def problems(self, todo: Sequence[Migration], impact: Impact) -> list[Problem]:
        """Why these scripts, judged as `impact` on the live database, may not run; none when they may."""
        return [*self._rehearsal(todo), *self._restore_point(), *self._approval(impact)]

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
        point, again = self.restore_point, "perene backup, or an on-demand backup of the Cloud SQL instance; then at once apply"
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


def read_restore_point(path: Path, store: str) -> RestorePoint:
    """A recovery set's manifest, or a finished backup run as the Cloud SQL API gives it (`gcloud sql backups describe --format json`).

    PereneError (exit 3) when it is neither, or the backup did not succeed.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PereneError(f"cannot be read: {error}", where=str(path), exit_code=ExitCode.CANNOT_TELL) from None
    if isinstance(found, dict) and found.get("kind") == "sql#backupRun":
        if found.get("status") != "SUCCESSFUL" or "endTime" not in found:
            raise PereneError(f"the backup is {found.get('status')}, not SUCCESSFUL", where=str(path), exit_code=ExitCode.CANNOT_TELL)
        return RestorePoint(name=f"{found['instance']}/{found['id']}", store="", at=datetime.fromisoformat(found["endTime"]))
    if not isinstance(found, dict) or found.get("document") != "recovery-set":
        raise PereneError("neither a recovery set's manifest nor a Cloud SQL backup run", where=str(path), exit_code=ExitCode.CANNOT_TELL)
    held = found["stores"].get(store)
    if held is None:
        return RestorePoint(name=found["id"], store="another", at=datetime.fromisoformat(found["finished"]))
    # What counts is the snapshot, which is taken at the start: later writes are not in it.
    return RestorePoint(name=found["id"], store=store, at=datetime.fromisoformat(held["started"]))


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


def read(directory: Path, store: str, *, keys: Path, rehearsal_age: Duration, restore_point_age: Duration) -> Admission:
    """The evidence in a directory: rehearsal.json, restore-point.json, approval.json. What is missing becomes a problem later.

    keys: directory of public keys. PereneError (exit 3) when the approval's signature does not hold.
    """
    rehearsal, point, approval = directory / REHEARSAL, directory / RESTORE_POINT, directory / APPROVAL
    return Admission(
        store=store,
        rehearsal=RehearsalRecord.read(rehearsal) if rehearsal.exists() else None,
        restore_point=read_restore_point(point, store) if point.exists() else None,
        approval=_approval(approval, keys) if approval.exists() else None,
        now=datetime.now(UTC),
        rehearsal_age=rehearsal_age,
        restore_point_age=restore_point_age,
    )


def _approval(path: Path, keys: Path) -> MigrationApproval:
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
