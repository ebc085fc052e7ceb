"""The in-process monitor declares what the real engine registered: no CLI is needed to see a difference."""

import pytest

from perene.engine.compare import differing
from perene.exit_codes import ExitCode
from perene.safety import gate, reading
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


@pytest.mark.parametrize("stack", RECORDED)
def test_the_gate_lets_a_first_deployment_through(stack: str) -> None:
    verdict = gate.judge(reading.parse_steps(recordings.preview(stack), stack))
    assert (verdict.effect, verdict.exit_code) == ("SAFE", ExitCode.DONE), [one for one in verdict.findings if one.effect != "SAFE"]
    assert len(verdict.findings) == len(recordings.read(stack))


def test_every_stack_of_the_repository_is_recorded() -> None:
    assert RECORDED == ["dev", "prod", "staging"], "without a recording nothing is compared"
