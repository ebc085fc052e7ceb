"""A program that is not there is named, with what helps, and is no traceback; a command that can do without it does."""

import subprocess
from pathlib import Path

import pytest
import typer

from perene.cli import down, main
from perene.exit_codes import ExitCode
from perene.local import network
from tests.programs import PROBES

PROGRAM = "no-such-program"


@PROBES
def test_a_program_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()
    app.command()(lambda: subprocess.run([PROGRAM], check=True) and None)
    monkeypatch.setattr(down, "app", app)
    with pytest.raises(SystemExit) as ended:
        main.main(["down"])
    assert ended.value.code == ExitCode.CANNOT_TELL
    assert "no-such-program is not installed, and `perene down` starts it" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_another_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(lambda: print((tmp_path / "none").read_text()))  # noqa: T201
    monkeypatch.setattr(down, "app", app)
    with pytest.raises(FileNotFoundError):
        main.main(["down"])


def test_a_machine_without_iproute2_has_no_link_to_take_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert network.links() == []
