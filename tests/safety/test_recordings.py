"""Every recorded change of the real engine gets the class of what really happened when it was applied."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perene.contract.verdict import Verdict
from perene.exit_codes import ExitCode
from perene.safety import gate, reading
from tests.safety import recorded

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RIGHT = {
    "safe": ExitCode.DONE,
    "disruptive": ExitCode.DONE,
    "protection-weakened": ExitCode.WEAKENS,
    "data-loss": ExitCode.LOSES_DATA,
}
# The service refuses these; what the change would do if it did not is what the gate answers, and it never calls one harmless that is not.
REJECTED = {
    "cloudsql-tier-db-n1-staging.json": ExitCode.DONE,
    "cloudsql-edition-downgrade.json": ExitCode.LOSES_DATA,
    "cloudsql-version-16-to-15.json": ExitCode.WEAKENS,
    "cloudsql-flag-fsync-off.json": ExitCode.WEAKENS,
    "instance-missing-from-state.json": ExitCode.CANNOT_TELL,
    "create-only-staging-db-n1.json": ExitCode.DONE,
    "create-only-no-edition-mismatch.json": ExitCode.DONE,
    "program-error.json": ExitCode.CANNOT_TELL,
    "database-charset-changed-prod.json": ExitCode.WEAKENS,
}


def verdict_on(name: str) -> Verdict:
    return gate.judge(reading.parse_steps(recorded.files()[name], name), now=NOW)


@pytest.mark.parametrize("entry", recorded.index(), ids=lambda entry: entry["file"].removesuffix(".json"))
def test_the_gate_says_what_really_happened(entry: dict[str, Any]) -> None:
    verdict = verdict_on(entry["file"])
    found, right = verdict.exit_code, RIGHT.get(entry["class"], REJECTED.get(entry["file"]))
    if entry["exit_code"]:
        expected = {ExitCode.CANNOT_TELL} | ({ExitCode.LOSES_DATA} if entry["class"] == "data-loss" else set())
        assert found in expected, "the engine failed, so the gate may only say that it cannot tell, or name a loss that it sees"
    elif "--show-sames" not in entry["command"] and right == ExitCode.DONE and not entry["file"].startswith("create-only"):
        assert found == ExitCode.CANNOT_TELL, "the plain form hides lifted guards, so a harmless look is no knowledge"
        assert [gap.hides for gap in verdict.gaps] == ["WEAKENS"], "and it says how bad it can be at worst"
    elif entry["file"] == "ignore-changes-all-settings.plain.json":
        assert found == ExitCode.CANNOT_TELL, "the plain form does not show the new option at all"
    else:
        assert found == right, entry["what_really_happens"]


def test_every_line_that_is_not_safe_has_a_reason_and_a_way_out() -> None:
    for entry in recorded.index():
        verdict = verdict_on(entry["file"])
        for finding in verdict.findings:
            assert finding.reasons, f"{entry['file']}: {finding.urn} has no reason"
            assert finding.way_out or finding.effect == "SAFE", f"{entry['file']}: {finding.urn} has no way out"


def test_the_recordings_are_all_there() -> None:
    assert len(recorded.index()) == 172, "172 recorded previews belong to this test"
