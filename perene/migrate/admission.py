"""What must be true before scripts run in prod: rehearsed exactly so, restorable to just now, approved by another person."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perene.contract.migration import RehearsalRecord
from perene.contract.values import Duration
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate.scripts import Migration

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
    now: datetime
    rehearsal_age: Duration
    restore_point_age: Duration

    def problems(self, todo: Sequence[Migration]) -> list[Problem]:
        """Why these scripts may not run; none when they may."""
        return [*self._rehearsal(todo), *self._restore_point()]

    @property
    def evidence(self) -> str:
        """One line for the audit: which rehearsal and which restore point."""
        rehearsed = f"rehearsed {self.rehearsal.finished_at} on {self.rehearsal.recovery_set}" if self.rehearsal else ""
        point = (
            f"restore point {self.restore_point.name} of {self.restore_point.at.isoformat(timespec='seconds')}"
            if self.restore_point
            else ""
        )
        return "; ".join(filter(None, (rehearsed, point)))

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


def read(directory: Path, store: str, *, rehearsal_age: Duration, restore_point_age: Duration) -> Admission:
    """The evidence in a directory: rehearsal.json, restore-point.json, approval.json. What is missing becomes a problem later."""
    rehearsal, point = directory / REHEARSAL, directory / RESTORE_POINT
    return Admission(
        store=store,
        rehearsal=RehearsalRecord.read(rehearsal) if rehearsal.exists() else None,
        restore_point=read_restore_point(point, store) if point.exists() else None,
        now=datetime.now(UTC),
        rehearsal_age=rehearsal_age,
        restore_point_age=restore_point_age,
    )


def _missing(file: str, why: str, fix: str) -> Problem:
    return Problem(what="is missing", where=file, why=why, fix=fix)


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} h"
