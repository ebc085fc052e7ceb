"""Logs do not grow for ever, and a program that holds one open goes on writing to it."""

import subprocess
import sys
import time
from pathlib import Path

from perene.engine.kubectl import Kubectl
from perene.logs import rotate, rotate_all


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x" * 10)
    assert not rotate(log, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_a_large_one_is_moved_and_only_so_many_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for number in range(6):
        log.write_text(f"{number}" * 20)
        assert rotate_all(tmp_path, 10, 3) == ["a.log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert (tmp_path / "a.log.1").read_text() == "5" * 20, "the newest is the first"
    assert log.read_text() == ""


def test_a_program_that_holds_the_log_open_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    code = "import sys,time\nfor n in range(200):\n print('line', n, flush=True)\n time.sleep(0.005)"
    with log.open("ab") as file, subprocess.Popen([sys.executable, "-c", code], stdout=file) as process:
        while log.stat().st_size < 300:
            time.sleep(0.01)
        assert rotate(log, 100)
        process.wait()
    after = log.read_text()
    assert after.splitlines()[-1] == "line 199"
    assert "\0" not in after, "no hole where the old content was"


def test_what_kubectl_was_asked_is_rotated_too(tmp_path: Path) -> None:
    log = tmp_path / "kubectl.log"
    log.write_text("x" * (11 * 2**20))
    Kubectl(tmp_path / "none", "none", "true", log).ask("get", "pods")
    assert log.stat().st_size < 1000
    assert (tmp_path / "kubectl.log.1").stat().st_size == 11 * 2**20
