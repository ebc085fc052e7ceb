"""What no metric tells of a Cloud SQL instance, from its Admin API: the newest successful automated backup, and guards that are open."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from perene.contract.tier import Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.states import moment

API = "https://sqladmin.googleapis.com/v1"
_TOKEN = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - an address
Ask = Callable[[str, Mapping[str, str]], Mapping[str, Any]]


def ask(url: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """The JSON answer to GET url. PereneError (exit 3) without one; never a token in the message."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - addresses of this module
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found: Mapping[str, Any] = json.loads(answer.read())
    except (urllib.error.URLError, TimeoutError, OSError, ValueError) as failed:
        raise PereneError(f"no answer: {failed}", where=url, exit_code=ExitCode.CANNOT_TELL) from None
    return found


def newest_automated(connection_name: str, ask_: Ask = ask) -> float | None:
    """When the newest successful automated backup ended; None when there is none at all.

    connection_name: `project:region:instance`. The pod's own identity asks (`cloudsql.backupRuns.list`). Pages are followed to their end:
    failed runs may fill the first one.
    """
    base, headers, page, newest = _url(connection_name) + "/backupRuns", _login(ask_), "", None
    while True:
        found = ask_(base + (f"?pageToken={page}" if page else ""), headers)
        for run in found.get("items", ()):
            if run.get("type") == "AUTOMATED" and run.get("status") == "SUCCESSFUL" and run.get("endTime"):
                newest = max(newest or 0, moment(run["endTime"]))
        page = found.get("nextPageToken", "")
        if not page:
            return newest


def open_guards(store: Store, connection_name: str, ask_: Ask = ask) -> dict[str, bool]:
    """Guard -> whether it is open on the instance as it is, against what the store's entry declares (`cloudsql.instances.get`).

    delete: the service itself would let it be deleted; automated-backups, pitr: off, or kept for less than declared.
    """
    settings = ask_(_url(connection_name), _login(ask_)).get("settings", {})
    backups = settings.get("backupConfiguration", {})
    kept = int(backups.get("backupRetentionSettings", {}).get("retainedBackups", 0))
    found = {"delete": store.guarded and not settings.get("deletionProtectionEnabled", False)}
    if "automated" in store.backup.ways:
        found["automated-backups"] = not backups.get("enabled", False) or kept < store.backup.automated_keep
    if "pitr" in store.backup.ways:
        days = int(backups.get("transactionLogRetentionDays", 0))
        found["pitr"] = not backups.get("pointInTimeRecoveryEnabled", False) or days < store.backup.pitr_days
    return found


def _url(connection_name: str) -> str:
    project, _, instance = connection_name.split(":")
    return f"{API}/projects/{project}/instances/{instance}"


def _login(ask_: Ask) -> dict[str, str]:
    return {"Authorization": f"Bearer {ask_(_TOKEN, {'Metadata-Flavor': 'Google'})['access_token']}"}
