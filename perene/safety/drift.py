"""A stable name for what drifted, so that a schedule does not say the same thing every night."""

import hashlib
import json

from perene.contract.verdict import Verdict


def fingerprint(verdict: Verdict) -> str:
    """sha256 over which resources drifted, how badly and why.

    Values, times and the order of steps do not count: the same drift has the same name tomorrow, and a new one another.
    """
    findings = sorted([finding.urn, finding.effect, list(finding.reasons)] for finding in verdict.findings)
    gaps = sorted(gap.hides for gap in verdict.gaps)
    return hashlib.sha256(json.dumps([verdict.stack, findings, gaps]).encode()).hexdigest()


def drifted(verdict: Verdict) -> int:
    """How many resources differ from what the state says."""
    return sum(finding.operation not in {"same", "refresh"} for finding in verdict.findings)
