"""The workflows for users: least rights, pinned actions, nothing interpolated into a shell, and main's judge."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import needs

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}


def steps() -> list[tuple[str, str, dict[str, Any]]]:
    return [(name, job, step) for name, workflow in WORKFLOWS.items() for job, body in workflow["jobs"].items() for step in body["steps"]]


def test_the_four_workflows_are_there() -> None:
    assert set(WORKFLOWS) == {"ci", "preview", "promote", "drift"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_rights_are_given_job_by_job(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}, "the top level gives nothing"
    for job, body in WORKFLOWS[name]["jobs"].items():
        assert body["permissions"], f"{job} says what it needs"
        assert "write-all" not in str(body["permissions"])
        writing = {right for right, level in body["permissions"].items() if level == "write"}
        assert writing <= {"id-token", "pull-requests", "issues"}, f"{job} may write {writing}"
        assert body.get("timeout-minutes"), f"{job} ends by itself"


def test_actions_are_pinned_by_commit() -> None:
    used = [step["uses"] for *_, step in steps() if "uses" in step]
    assert used
    assert not [each for each in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", each)]


def test_nothing_is_interpolated_into_a_shell() -> None:
    assert not [f"{name}/{job}: {step['run']}" for name, job, step in steps() if "${{" in step.get("run", "")]


def test_every_step_is_a_command_that_runs_at_a_desk() -> None:
    commands = [step["run"].strip() for *_, step in steps() if "run" in step]
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands:
        assert command.startswith("make "), command
        called = [word for word in command.split()[1:] if "=" not in word and not word.startswith("-") and word != "judge"]
        assert set(called) <= targets, f"{called} of {command} are no targets of the Makefile"


def test_no_credentials_stay_behind_a_checkout() -> None:
    checkouts = [step for *_, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_pull_request_is_judged_by_mains_checkout() -> None:
    assert "pull_request_target" not in str(WORKFLOWS), "a fork's code never meets a right of this repository"
    for job, body in WORKFLOWS["preview"]["jobs"].items():
        first = next(step for step in body["steps"] if step.get("uses", "").startswith("actions/checkout@"))
        assert (first["with"]["ref"], first["with"]["path"]) == ("main", "judge"), job
        assert all(step["run"].startswith("make -C judge ") for step in body["steps"] if "run" in step), job


def test_a_fork_gets_no_identity() -> None:
    for job, body in WORKFLOWS["preview"]["jobs"].items():
        if {"id-token", "pull-requests"} & body["permissions"].keys():
            assert "head.repo.full_name == github.repository" in str(body["if"]), f"{job} runs for a fork too"


def test_the_preview_identity_reads_no_secret() -> None:
    text = (ROOT / ".github" / "workflows" / "preview.yaml").read_text() + (ROOT / ".github" / "workflows" / "drift.yaml").read_text()
    assert "secrets." not in text, "a preview needs none: the program holds references only"


def test_prod_waits_in_its_environment_and_gets_the_same_commit() -> None:
    jobs = WORKFLOWS["promote"]["jobs"]
    assert jobs["prod"]["environment"] == "prod"
    assert jobs["prod"]["needs"] == ["staging"]
    assert all("ref" not in step.get("with", {}) for job in jobs.values() for step in job["steps"]), "both check out the event's commit"


def test_no_workflow_switches_a_guard_off() -> None:
    text = "".join(path.read_text() for path in FILES) + (ROOT / "Makefile").read_text()
    for forbidden in ("--ignore-protect", "state delete", "state unprotect", "--exclude-protected", "up --plan"):
        assert forbidden not in text, forbidden


def test_what_judges_has_an_owner() -> None:
    owned = [line.split()[0] for line in (ROOT / ".github" / "CODEOWNERS").read_text().splitlines() if line.startswith("/")]
    for path in ("/.github/", "/perene/safety/", "/policy/", "/waivers/", "/keys/", "/promotion/", "/Makefile"):
        assert path in owned, path


def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("zizmor"), "--offline", "--quiet", *map(str, FILES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs("go")
def test_actionlint_finds_nothing() -> None:
    # A Go module, built once and kept by Go's own cache; its package in PyPI only downloads it from elsewhere.
    command = ["go", "run", ACTIONLINT, *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "GOFLAGS": "-mod=mod"})
    assert done.returncode == 0, done.stdout + done.stderr
