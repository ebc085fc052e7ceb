"""A waiver is a file in git that counts for one exact change, with another person's signature, until its day."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from perene.contract.approval import Waiver, WaiverApproval
from perene.contract.verdict import Verdict
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import gate, reading, signing, waivers
from tests.safety import recorded
from tests.safety.keys import make_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def verdict_on(name: str) -> Verdict:
    return gate.judge(reading.parse_steps(recorded.files()[name], name), now=NOW)


def write_waiver(directory: Path, verdict: Verdict, *, approver: str = "ana", signer: str = "", **changes: str) -> None:
    finding = next(finding for finding in verdict.findings if finding.effect in {"WEAKENS", "LOSES-DATA"})
    fields = {
        "stack": verdict.stack,
        "urn": finding.urn,
        "effect": finding.effect,
        "digest": finding.digest,
        "reason": "the sealed copy has its own lock",
        "author": "rui",
        "expires": "2026-12-01",
    }
    waiver = Waiver.model_validate(fields | changes)
    (directory / "w.json").write_text(waiver.to_json())
    if approver:
        key = make_key(directory / "keys", signer or approver)
        approval = WaiverApproval(waiver=signing.digest(waiver), approver=approver, at=NOW.isoformat())
        (directory / "w.approval.json").write_text(signing.sign(approval, key, signer or approver).to_json())


def applied(directory: Path, verdict: Verdict) -> Verdict:
    return waivers.apply(verdict, waivers.read(directory, directory / "keys"), NOW)


def test_an_approved_waiver_lets_exactly_its_change_through(tmp_path: Path) -> None:
    verdict = verdict_on("bucket-retention-removed.json")
    write_waiver(tmp_path, verdict)
    waived = applied(tmp_path, verdict)
    assert waived.exit_code == ExitCode.DONE
    assert "ana until 2026-12-01" in waived.findings[0].waived
    other = verdict_on("bucket-soft-delete-off.json")
    assert applied(tmp_path, other).exit_code == ExitCode.WEAKENS, "the same bucket, another change"


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": "2026-11-23"},
        {"expires": "never"},
        {"digest": "0" * 64},
        {"stack": "staging"},
        {"approver": ""},
        {"approver": "rui"},
        {"approver": "ana", "signer": "eve"},
    ],
)
def test_a_waiver_that_does_not_hold_does_not_count(tmp_path: Path, changes: dict[str, str]) -> None:
    verdict = verdict_on("bucket-retention-removed.json")
    write_waiver(tmp_path, verdict, **changes)
    assert applied(tmp_path, verdict).exit_code == ExitCode.WEAKENS


def test_a_broken_signature_stops_everything(tmp_path: Path) -> None:
    verdict = verdict_on("bucket-retention-removed.json")
    write_waiver(tmp_path, verdict)
    path = tmp_path / "w.approval.json"
    path.write_text(path.read_text().replace("2026-11-24", "2026-11-25"))
    with pytest.raises(PereneError) as refused:
        applied(tmp_path, verdict)
    assert refused.value.exit_code == ExitCode.CANNOT_TELL


def test_a_masked_value_is_waived_for_one_version_only(tmp_path: Path) -> None:
    document = recorded.document("secret-data-replaced-staging.json")
    one = verdict_on("secret-data-replaced-staging.json")
    for step in document["steps"]:
        if "oldState" in step and step["urn"].endswith("staging-key-v1"):
            step["oldState"]["id"] = step["oldState"].get("id", "") + "-of-another-version"
    import json

    other = gate.judge(reading.parse_steps(json.dumps(document).encode(), "x"), now=NOW)
    assert one.findings[0].digest != other.findings[0].digest, "both values are masked: the version's id tells them apart"


def test_a_failed_preview_cannot_be_waived(tmp_path: Path) -> None:
    verdict = verdict_on("bucket-removed-prod-protected.json")
    write_waiver(tmp_path, verdict)
    assert applied(tmp_path, verdict).exit_code == ExitCode.CANNOT_TELL
