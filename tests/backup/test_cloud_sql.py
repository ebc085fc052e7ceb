"""Backups on demand against a double of Cloud SQL's Admin API: waited for, and every way to fail is named."""

from typing import Any

import pytest

from perene.backup.cloud_sql import Instance, SqlAdmin
from perene.errors import PereneError
from perene.exit_codes import ExitCode

RUN = {"kind": "sql#backupRun", "id": "17", "instance": "lux", "status": "SUCCESSFUL", "endTime": "2026-11-26T01:00:00Z"}
DONE = {"name": "op-1", "status": "DONE", "operationType": "BACKUP_VOLUME", "backupContext": {"backupId": "17"}}


class Answer:
    """What `requests` gives."""

    def __init__(self, status: int, body: Any) -> None:
        self.status_code, self.reason, self.content, self._body = status, "refused", b"x", body

    def json(self) -> Any:
        return self._body


class Service:
    """A double of the service: an operation that is done after some questions, then the run."""

    def __init__(self, *, pending: int = 2, done: Any = DONE, run: Any = RUN, status: int = 200) -> None:
        self.pending, self.done, self.run, self.status = pending, done, run, status
        self.asked: list[str] = []

    def request(self, method: str, url: str, **_: Any) -> Answer:
        self.asked.append(f"{method} {url}")
        if self.status >= 400:
            return Answer(self.status, {"error": {"message": "quota"}})
        if "/operations/" in url and self.pending:
            self.pending -= 1
            return Answer(200, {"name": "op-1", "status": "RUNNING"})
        if "/operations/" in url:
            return Answer(200, self.done)
        return Answer(200, self.run if method == "GET" else {"name": "op-1", "status": "PENDING"})


def back_up(service: Service) -> dict[str, Any]:
    return SqlAdmin("https://sql.example/", service, sleep=lambda _: None).back_up(Instance.parse("acme:us-east1:lux"), "before")


def test_a_backup_is_waited_for_and_its_run_is_read() -> None:
    service = Service()
    assert back_up(service) == RUN
    assert service.asked == [
        "POST https://sql.example/projects/acme/instances/lux/backupRuns",
        *["GET https://sql.example/projects/acme/operations/op-1"] * 3,
        "GET https://sql.example/projects/acme/instances/lux/backupRuns/17",
    ]


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (Service(status=429), "HTTP 429"),
        (Service(done={**DONE, "error": {"errors": [{"code": "INTERNAL", "message": "disk"}]}}), "BACKUP_VOLUME failed"),
        (Service(done={"name": "op-1", "status": "DONE"}), "names no backup"),
        (Service(run={**RUN, "status": "SKIPPED"}), "the backup is SKIPPED"),
        (Service(pending=10**6), "not finished after 3600 s"),
    ],
)
def test_every_way_to_fail_is_named(service: Service, said: str) -> None:
    with pytest.raises(PereneError, match=said):
        back_up(service)


def test_a_connection_name_has_three_parts() -> None:
    assert Instance.parse("example.org:acme:us-east1:lux").project == "example.org:acme"
    with pytest.raises(PereneError) as refused:
        Instance.parse("acme:lux")
    assert refused.value.exit_code is ExitCode.USAGE
