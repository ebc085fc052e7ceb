"""A failed stage says what, why, and where the log is."""

import io
from pathlib import Path

import pytest

from perene.engine.progress import Progress
from perene.errors import PereneError


def test_a_failed_stage_names_the_log_and_keeps_the_cause(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = Progress(tmp_path / "log", stream)

    def fail() -> None:
        with progress.stage("stack"):
            progress.say("waiting for main")
            progress.say("waiting for main")
            raise PereneError("it is full", fix="grow it")

    with pytest.raises(PereneError, match=r"it is full(.|\n)*grow it\n       log: .*/log"):
        fail()
    assert stream.getvalue().count("waiting for main") == 1, "the same is shown once"
    assert "it is full" in (tmp_path / "log").read_text()
    assert [name for name, _ in progress.timings] == ["stack"]
