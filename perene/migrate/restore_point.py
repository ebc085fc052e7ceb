"""The way back to just before a migration: told by a file, found in the backup repository, or taken now."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from perene.backup.cloud_sql import Instance, SqlAdmin
from perene.backup.places import open_place
from perene.errors import PereneError
from perene.exit_codes import ExitCode

EVIDENCE = "evidence/sets/"


@dataclass(frozen=True, kw_only=True)
class RestorePoint:
    """Where the store can be brought back to. name: recovery set or backup; store: empty where the source does not say; at: its moment."""

    name: str
    store: str
    at: datetime


def read(path: Path, store: str) -> RestorePoint:
    """From a file: a recovery set's manifest, or a finished backup run as the Cloud SQL API gives it.

    PereneError (exit 3) when it is neither, or the backup did not succeed.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PereneError(f"cannot be read: {error}", where=str(path), exit_code=ExitCode.CANNOT_TELL) from None
    return _parsed(found, store, str(path))


def taker(source: str, store: str, admin: Callable[[], SqlAdmin] = SqlAdmin) -> Callable[[], RestorePoint]:
    """How a restore point of `store` is had when it is needed.

    source: `cloud-sql:PROJECT:REGION:INSTANCE` (a backup on demand, taken then) or `sets:REPOSITORY` (the newest recovery set whose
    manifest lies beside that repository). PereneError (exit 2) for anything else.
    """
    kind, _, where = source.partition(":")
    if kind == "cloud-sql" and where:
        instance = Instance.parse(where)
        return lambda: _parsed(admin().back_up(instance, f"before migrations of {store}"), store, where)
    if kind == "sets" and where:
        return lambda: _newest_set(where, store)
    raise PereneError(
        "it is no source of a restore point",
        where=source,
        fix="cloud-sql:PROJECT:REGION:INSTANCE or sets:REPOSITORY",
        exit_code=ExitCode.USAGE,
    )


def _newest_set(repository: str, store: str) -> RestorePoint:
    place = open_place(repository)
    names = place.names(EVIDENCE)
    found = place.read(names[-1]) if names else None
    if found is None:
        raise PereneError(
            "no recovery set is told beside the repository", where=repository, fix="perene backup", exit_code=ExitCode.CANNOT_TELL
        )
    return _parsed(json.loads(found), store, f"{repository}/{names[-1]}")


def _parsed(found: Mapping[str, Any], store: str, where: str) -> RestorePoint:
    if isinstance(found, dict) and found.get("kind") == "sql#backupRun":
        if found.get("status") != "SUCCESSFUL" or "endTime" not in found:
            raise PereneError(f"the backup is {found.get('status')}, not SUCCESSFUL", where=where, exit_code=ExitCode.CANNOT_TELL)
        return RestorePoint(name=f"{found['instance']}/{found['id']}", store="", at=datetime.fromisoformat(found["endTime"]))
    if not isinstance(found, dict) or found.get("document") != "recovery-set":
        raise PereneError("neither a recovery set's manifest nor a Cloud SQL backup run", where=where, exit_code=ExitCode.CANNOT_TELL)
    held = found["stores"].get(store)
    if held is None:
        return RestorePoint(name=found["id"], store="another", at=datetime.fromisoformat(found["finished"]))
    # What counts is the snapshot, which is taken at the start: later writes are not in it.
    return RestorePoint(name=found["id"], store=store, at=datetime.fromisoformat(held["started"]))
