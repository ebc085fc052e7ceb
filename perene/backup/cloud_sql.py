"""Cloud SQL's Admin API: what perene asks of it beside the provider. A backup on demand is a restore point taken now."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perene.custody.google_session import session as google_session
from perene.errors import PereneError
from perene.exit_codes import ExitCode

SQL_ADMIN = "https://sqladmin.googleapis.com/sql/v1beta4/"
PATIENCE = 3600.0


@dataclass(frozen=True)
class Instance:
    """An instance by its parts."""

    project: str
    region: str
    name: str

    @classmethod
    def parse(cls, connection_name: str) -> "Instance":
        """From `project:region:instance`; PereneError (exit 2) for anything else. A project may be `domain:project`."""
        parts = connection_name.rsplit(":", 2)
        if len(parts) != 3 or not all(parts):
            raise PereneError("it is no connection name", where=connection_name, fix="project:region:instance", exit_code=ExitCode.USAGE)
        return cls(*parts)

    @property
    def path(self) -> str:
        """As the API's addresses name it."""
        return f"projects/{self.project}/instances/{self.name}"


class SqlAdmin:
    """The API as the operator's or the pod's own identity (Application Default Credentials)."""

    def __init__(self, endpoint: str = SQL_ADMIN, session: Any = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._endpoint, self._session, self._sleep = endpoint, session or google_session(), sleep

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request. PereneError (exit 3) when it is refused or not answered."""
        try:
            answer = self._session.request(method, self._endpoint + path, json=body, timeout=30)
            found = answer.json() if answer.content else {}
        except (OSError, ValueError) as silent:
            raise PereneError(
                "Cloud SQL's API does not answer", where=path, why=type(silent).__name__, exit_code=ExitCode.CANNOT_TELL
            ) from None
        if answer.status_code >= 400:
            why = found.get("error", {}).get("message", answer.reason) if isinstance(found, dict) else answer.reason
            raise PereneError(f"Cloud SQL refused it: HTTP {answer.status_code}", where=path, why=str(why), exit_code=ExitCode.CANNOT_TELL)
        return dict(found)

    def wait(self, operation: Mapping[str, Any], project: str, *, patience: float = PATIENCE) -> dict[str, Any]:
        """The finished operation. PereneError: exit 1 when it failed, 3 when it is not finished after so many seconds."""
        path = f"projects/{project}/operations/{operation['name']}"
        waited, pause = 0.0, 1.0
        found = dict(operation)
        while found.get("status") != "DONE":
            if waited >= patience:
                raise PereneError(
                    f"it is not finished after {patience:.0f} s", where=path, fix="see the operation", exit_code=ExitCode.CANNOT_TELL
                )
            self._sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, 20.0)
            found = self.call("GET", path)
        errors = found.get("error", {}).get("errors", [])
        if errors:
            raise PereneError(
                f"{found.get('operationType', 'the operation')} failed",
                where=path,
                why="; ".join(f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors),
            )
        return found

    def back_up(self, instance: Instance, description: str) -> dict[str, Any]:
        """A backup on demand, waited for: the finished backup run. It stays until somebody deletes it; five per 50 minutes are allowed."""
        begun = self.call("POST", f"{instance.path}/backupRuns", {"description": description})
        done = self.wait(begun, instance.project)
        made = done.get("backupContext", {}).get("backupId")
        if not made:
            raise PereneError("the operation names no backup", where=instance.path, exit_code=ExitCode.CANNOT_TELL)
        run = self.call("GET", f"{instance.path}/backupRuns/{made}")
        if run.get("status") != "SUCCESSFUL":
            raise PereneError(f"the backup is {run.get('status')}, not SUCCESSFUL", where=f"{instance.path}/backupRuns/{made}")
        return run
