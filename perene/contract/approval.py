"""Signed documents of the safety chain: waivers' approvals, change approvals, promotion evidence. Ed25519 over the canonical JSON."""

from typing import ClassVar, Literal

from pydantic import Field

from perene.contract.base import Document, Value
from perene.contract.migration import LedgerExport

Digest = str


class Waiver(Document):
    """A reviewed exception, a file in git.

    urn, effect: what it covers; digest: of the exact change (the gate prints it); reason; author: who asks; expires: last day
    (`2026-12-01`) on which it counts.
    """

    KIND: ClassVar[str] = "waiver"
    document: Literal["waiver"] = "waiver"
    version: Literal[1] = 1
    stack: str
    urn: str
    effect: Literal["WEAKENS", "LOSES-DATA"]
    digest: str
    reason: str = Field(min_length=10)
    author: str
    expires: str


class WaiverApproval(Document):
    """Another person's yes to one waiver. waiver: sha256 of its canonical JSON."""

    KIND: ClassVar[str] = "waiver-approval"
    document: Literal["waiver-approval"] = "waiver-approval"
    version: Literal[1] = 1
    waiver: str
    approver: str
    at: str


class ChangeApproval(Document):
    """What exactly may be applied: commit, configuration, provider versions, the state's resources and the previewed steps.

    digests are sha256 in hex; author: who wrote the commit; effect: the worst class that was approved; expires: RFC 3339.
    """

    KIND: ClassVar[str] = "change-approval"
    document: Literal["change-approval"] = "change-approval"
    version: Literal[1] = 1
    stack: str
    commit: str
    author: str
    configuration: str
    providers: dict[str, str]
    state: str
    steps: str
    effect: Literal["SAFE", "DISRUPTIVE", "WEAKENS", "LOSES-DATA"]
    approver: str
    at: str
    expires: str


class StackEvidence(Document):
    """What is known about one running stack at one moment, signed by the job that looked.

    commit: what runs; since: when it was applied; drills: store -> time of the last proven drill; stores: all stores; drift: number of
    resources that differ; alerts: names of firing alerts; ledgers: `store/database` -> what it has of its migrations; times in RFC 3339.
    """

    KIND: ClassVar[str] = "stack-evidence"
    document: Literal["stack-evidence"] = "stack-evidence"
    version: Literal[1] = 1
    stack: str
    at: str
    commit: str
    since: str
    stores: tuple[str, ...]
    drills: dict[str, str]
    drift: int
    alerts: tuple[str, ...]
    previous: str = ""
    ledgers: dict[str, LedgerExport] = {}


class Signature(Value):
    """signer: name of the public key in `keys/` (`ana@example.org` for `keys/ana@example.org.pub`); value: base64."""

    signer: str
    value: str


class Signed(Document):
    """A signed document: `payload` is the exact text that was signed."""

    KIND: ClassVar[str] = "signed"
    document: Literal["signed"] = "signed"
    version: Literal[1] = 1
    payload: str
    signature: Signature
