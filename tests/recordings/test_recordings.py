"""The in-process monitor declares what the real engine registered: no CLI is needed to see a difference."""

import pytest

from perene.engine.compare import differing
from tests import recordings
from tests.house.stacks import program

RECORDED = sorted(path.name.removesuffix(".json.gz") for path in recordings.DIRECTORY.glob("*.json.gz"))


@pytest.mark.parametrize("stack", RECORDED)
def test_the_program_declares_what_the_real_engine_registered(stack: str) -> None:
    different = [
        f"{one.path}: {one.here!r} now, {one.there!r} recorded"
        for one in differing(recordings.ours(program(stack)), recordings.read(stack), "")
    ]
    assert not different, "\n".join([*different, f"If this is meant, record it anew (needs the CLI): python -m tests.recordings {stack}"])


def test_the_dev_stack_is_recorded() -> None:
    assert "dev" in RECORDED, "without a recording nothing is compared"
