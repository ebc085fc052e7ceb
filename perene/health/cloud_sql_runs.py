"""The newest successful automated backup of a Cloud SQL instance, from the Admin API: no metric tells it (domain-facts section 1.9)."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

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
    project, _, instance = connection_name.split(":")
    token = ask_(_TOKEN, {"Metadata-Flavor": "Google"})["access_token"]
    base, page, newest = f"{API}/projects/{project}/instances/{instance}/backupRuns", "", None
    while True:
        found = ask_(base + (f"?pageToken={page}" if page else ""), {"Authorization": f"Bearer {token}"})
        for run in found.get("items", ()):
            if run.get("type") == "AUTOMATED" and run.get("status") == "SUCCESSFUL" and run.get("endTime"):
                newest = max(newest or 0, moment(run["endTime"]))
        page = found.get("nextPageToken", "")
        if not page:
            return newest
