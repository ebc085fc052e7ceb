"""Waivers: exceptions as files in git, which count only with another person's signed approval and never past their date."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from perene.contract.approval import Signed, Waiver, WaiverApproval
from perene.contract.verdict import Finding, Verdict
from perene.safety import signing
from perene.safety.gate import judged_again


@dataclass(frozen=True)
class Approved:
    """A waiver with its approver, empty while nobody else approved it."""

    waiver: Waiver
    approver: str


def read(directory: Path, keys: Path | None) -> list[Approved]:
    """All waivers of a directory: `NAME.json` with `NAME.approval.json` beside it.

    PereneError (exit 3) when one cannot be read or a signature does not hold: a broken waiver is never passed over.
    """
    found = []
    for path in sorted(directory.glob("*.json")):
        if path.name.endswith(".approval.json"):
            continue
        waiver = Waiver.read(path)
        approval = path.with_name(f"{path.stem}.approval.json")
        found.append(Approved(waiver, _approver(waiver, approval, keys) if keys and approval.exists() else ""))
    return found


def _approver(waiver: Waiver, path: Path, keys: Path) -> str:
    signed = Signed.read(path)
    approval = signing.verified(signed, WaiverApproval, keys, str(path))
    same_person = approval.approver in {waiver.author, ""} or signed.signature.signer != approval.approver
    return "" if same_person or approval.waiver != signing.digest(waiver) else approval.approver


def apply(verdict: Verdict, approved: list[Approved], now: datetime) -> Verdict:
    """The verdict with what is validly waived marked as such. Gaps are never waived: what was not seen cannot be approved."""
    return judged_again(verdict, tuple(_waived(finding, verdict.stack, approved, now.date()) for finding in verdict.findings))


def _waived(finding: Finding, stack: str, approved: list[Approved], today: date) -> Finding:
    if not finding.waivable:
        return finding
    for each in approved:
        waiver = each.waiver
        fits = (waiver.stack, waiver.urn, waiver.effect, waiver.digest) == (stack, finding.urn, finding.effect, finding.digest)
        if fits and each.approver and _counts_on(waiver, today):
            return finding.model_copy(update={"waived": f"{each.approver} until {waiver.expires}: {waiver.reason}"})
    return finding


def _counts_on(waiver: Waiver, today: date) -> bool:
    try:
        return today <= date.fromisoformat(waiver.expires)
    except ValueError:
        return False
