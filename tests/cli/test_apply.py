"""The restore point of `perene apply` is asked for in the words that `perene backup` really takes."""

import subprocess
from typing import Any

import pytest
from typer.testing import CliRunner

from perene.cli import apply, backup
from perene.errors import PereneError
from perene.exit_codes import ExitCode


def test_the_backup_command_understands_what_apply_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        said.append(words)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(apply.subprocess, "run", run)
    apply.restore_point("staging")
    reached: list[str | None] = []

    def read(_: object, namespace: str | None) -> None:
        reached.append(namespace)
        raise PereneError("no further: there is no cluster here")

    monkeypatch.setattr(backup, "read_tier", read)
    words = said[0][said[0].index("backup") + 1 :]
    result = CliRunner().invoke(backup.app, words)
    assert reached == ["direito-lux"], f"`perene backup {' '.join(words)}` was not understood: {result.output}"


def test_without_a_restore_point_nothing_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 1))
    with pytest.raises(PereneError, match="no restore point could be made") as refused:
        apply.restore_point("staging")
    assert refused.value.exit_code == ExitCode.CANNOT_TELL
