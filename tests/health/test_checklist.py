"""Checklists that check themselves: every row answered by what was seen, what cannot be seen left to a person."""

import json
from typing import Any

import pytest

from perene.errors import PereneError
from perene.health.checklist import ROWS, Line, Phase, checklist
from perene.health.facts import Evidence
from tests.health.cluster import NAMESPACE
from tests.health.test_health import GOOD, good, looked

BATCH = f"/apis/batch/v1/namespaces/{NAMESPACE}"


def inside(pod: str, container: str, command: list[str]) -> str:
    return "drwx------ 5 10001 10001 4096 Nov 24 10:00 /var/lib/perene\n" if command[0] == "ls" else ""


def read_only(pod: str, container: str, command: list[str]) -> str:
    if command[0] == "test":
        raise PereneError("command terminated with exit code 1")
    return inside(pod, container, command)


def answered(
    phase: Phase, answers: dict[str, Any] | None = None, evidence: Evidence = GOOD, run: Any = inside, **more: Any
) -> dict[str, Line]:
    subject = looked(answers, evidence)
    lines = checklist(subject, phase, run, **more)
    return {line.what: line for line in lines}


def open_ones(lines: dict[str, Line]) -> set[str]:
    # The fixture has no database to ask, no exporter that made a round: what those say is another test's.
    about = ("servers answer", "pods are ready, servers", "monitoring is active")
    return {what for what, line in lines.items() if line.answer == "open" and not what.startswith(about)}


@pytest.mark.parametrize("phase", ROWS)
def test_a_good_tier_leaves_only_what_a_person_knows(phase: Phase) -> None:
    lines = answered(phase, firing=lambda: ())
    assert list(lines) == [row.what for row in ROWS[phase]], "in the order in which they are read"
    assert open_ones(lines) == set()
    manual = {what for what, line in lines.items() if line.answer == "manual"}
    by_hand = {row.what for row in ROWS[phase] if not row.checks}
    # The fixture's tier has no key: a check that saw nothing has not said that all is well.
    assert manual == by_hand | ({"the encryption key is in place"} if phase == "before" else set())
    assert all(lines[what].look for what in manual)


def test_a_tier_without_a_backup_is_not_ready_to_be_stopped() -> None:
    assert open_ones(answered("before", evidence=Evidence())) == {"a recent backup exists, and one was restored and compared"}


def test_a_volume_that_cannot_be_written_is_open() -> None:
    lines = answered("before", run=read_only)
    assert "every volume is there, mounted, writable, with room" in open_ones(lines)


def test_a_volume_that_goes_with_its_claim_is_open() -> None:
    answers = good()
    answers["/api/v1/persistentvolumes"]["items"][0]["spec"]["persistentVolumeReclaimPolicy"] = "Delete"
    line = answered("before", answers)["volumes are kept when the program or the application goes"]
    assert line.answer == "open"
    assert "kubectl patch pv pv-1" in line.found[0].next


def test_a_volume_that_is_gone_after_a_stop_is_open() -> None:
    answers = good()
    answers[f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"]["items"] = []
    assert "every volume is still there and mounted" in open_ones(answered("after", answers))


@pytest.mark.parametrize(("status", "answer"), [({"succeeded": 1}, "done"), ({"failed": 1}, "open"), ({"active": 1}, "open")])
def test_migrations_are_applied_when_their_job_says_so(status: dict[str, int], answer: str) -> None:
    answers = good()
    answers[f"{BATCH}/jobs"]["items"].append({"metadata": {"name": "main-migrate-1a2b"}, "status": status})
    assert answered("after", answers)["migrations are applied"].answer == answer


def test_an_alert_that_fires_is_open_and_an_unasked_one_manual() -> None:
    assert answered("after", firing=lambda: ("BackupStale",))["no alert fires"].answer == "open"
    assert answered("after")["no alert fires"].answer == "manual"


def test_what_cannot_be_told_is_open_never_done() -> None:
    answers = good()
    del answers[f"{BATCH}/cronjobs"]
    line = answered("before", answers)["the jobs that back up run"]
    assert line.answer == "open"
    assert "does not answer" in line.found[0].what
    assert json.dumps(line.look) == '""'
