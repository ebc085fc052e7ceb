"""Changes of a small tier on a real cluster, previewed by the real Kubernetes provider, replayed (tests/e2e records them anew)."""

import functools
import json
import tarfile
from pathlib import Path

import pytest

from perene.exit_codes import ExitCode
from perene.safety import gate, reading

HERE = Path(__file__).parent / "recordings"
CODES = {"SAFE": ExitCode.DONE, "DISRUPTIVE": ExitCode.DONE, "WEAKENS": ExitCode.WEAKENS, "LOSES-DATA": ExitCode.LOSES_DATA}


@functools.cache
def files() -> dict[str, bytes]:
    with tarfile.open(HERE / "kubernetes.tar.xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]


INDEX: dict[str, dict[str, str | int]] = json.loads(files()["index.json"])


@pytest.mark.parametrize("name", INDEX)
def test_the_gate_says_what_the_change_does(name: str) -> None:
    entry = INDEX[name]
    verdict = gate.judge(reading.parse_steps(files()[f"{name}.json"], name))
    if entry["exit_code"]:
        assert verdict.exit_code in {ExitCode.CANNOT_TELL, ExitCode.LOSES_DATA}, "the engine refused or failed"
    else:
        assert (verdict.effect, verdict.exit_code) == (entry["expected"], CODES[str(entry["expected"])])


def test_at_least_twenty_dangerous_changes_are_among_them() -> None:
    dangerous = [entry for entry in INDEX.values() if entry["expected"] in {"WEAKENS", "LOSES-DATA", "REFUSED"}]
    assert len(dangerous) >= 20
    assert len(INDEX) - len(dangerous) >= 7, "and harmless ones that must get through"
