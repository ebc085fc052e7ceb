"""Changes of prod, previewed by the real engine with the real Google provider, replayed (tests/e2e/test_gate_on_google.py records them)."""

import functools
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from perene.exit_codes import ExitCode
from perene.safety import gate, reading

HERE = Path(__file__).parent / "recordings"
CODES = {"SAFE": ExitCode.DONE, "DISRUPTIVE": ExitCode.DONE, "WEAKENS": ExitCode.WEAKENS, "LOSES-DATA": ExitCode.LOSES_DATA}


@functools.cache
def files() -> dict[str, bytes]:
    with tarfile.open(HERE / "google.tar.xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]


INDEX: dict[str, dict[str, Any]] = json.loads(files()["index.json"])
DANGEROUS = {"WEAKENS", "LOSES-DATA", "REFUSED"}


@pytest.mark.parametrize("name", INDEX)
def test_the_gate_says_what_the_change_does(name: str) -> None:
    entry = INDEX[name]
    steps = reading.parse_steps(files()[f"{name}.json"], name)
    verdict = gate.judge(steps.model_copy(update={"failed": steps.failed or entry["exit_code"] != 0}))
    if entry["expected"] == "REFUSED":
        assert entry["exit_code"], "the engine itself refused"
        assert verdict.exit_code in {ExitCode.CANNOT_TELL, ExitCode.LOSES_DATA}
    else:
        assert (verdict.effect, verdict.exit_code) == (entry["expected"], CODES[entry["expected"]])


def test_at_least_twenty_dangerous_changes_are_among_them() -> None:
    dangerous = [entry for entry in INDEX.values() if entry["expected"] in DANGEROUS]
    assert len(dangerous) >= 20
    assert len(INDEX) - len(dangerous) >= 7, "and harmless ones that must get through"
