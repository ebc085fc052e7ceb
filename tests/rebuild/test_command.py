"""A set-up command: run once, skipped when everything is there, ended at its limit, its result checked."""

import os
import time
from pathlib import Path

import pytest

from perene.contract.tier import CommandRebuild
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.rebuild.command import rebuild


def settings(command: str, check: str = "test -e made", limit: str = "30s") -> CommandRebuild:
    return CommandRebuild(command=("sh", "-c", command), check=("sh", "-c", check), limit=limit)


def test_it_runs_once_and_then_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert rebuild(settings("echo x >> made"), tmp_path) is not None
    assert rebuild(settings("echo x >> made"), tmp_path) is None
    assert (tmp_path / "made").read_text() == "x\n"


def test_a_command_that_does_not_do_its_work_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="does not find everything") as refused:
        rebuild(settings("true", "echo collection docs is missing >&2; false"), tmp_path)
    assert refused.value.exit_code == ExitCode.NOT_PROVEN
    assert "collection docs is missing" in str(refused.value)


def test_a_failure_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match=r"ended with 7(.|\n)*no route"):
        rebuild(settings("echo no route; exit 7"), tmp_path)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="cannot be started"):
        rebuild(CommandRebuild(command=("/nonexistent/setup",), check=("false",), limit="1s"), tmp_path)


def test_at_the_limit_it_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="did not end in 0 s"):
        rebuild(settings("sleep 60 & echo $! > child; wait", limit="400ms"), tmp_path)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the command's child goes on")
