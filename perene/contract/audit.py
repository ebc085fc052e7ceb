"""The audit's documents: one line per deed, chained by hash; the head of each writer's chain, anchored elsewhere."""

import hashlib
import json
from typing import ClassVar, Literal

from perene.contract.base import Document, Value

GENESIS = "0" * 64
Result = Literal["begun", "done", "failed", "refused"]


class AuditLine(Value):
    """One operation that touches data or a guard.

    writer: who keeps this chain (`host-of-operator`, `perene-backup`); sequence: 1, 2, ... without a gap; at: RFC 3339 in UTC;
    actor: who asked; operation: `backup`, `restore`, `drill`, `guard-open`, `key-rotate`, ...; subject: what it touched; details: never a
    secret; previous: hash of the line before (GENESIS for the first); hash: SHA-256 over everything else.
    """

    writer: str
    sequence: int
    at: str
    actor: str
    stack: str
    operation: str
    subject: str
    result: Result
    details: dict[str, str] = {}
    previous: str
    hash: str

    def computed(self) -> str:
        """The hash that this line must have: SHA-256 over its canonical JSON without `hash`."""
        return digest(self.model_dump(mode="json", exclude={"hash"}))


class AuditHead(Document):
    """Where a writer's chain ended at a moment: what anchors it in manifests and in the sealed copy."""

    KIND: ClassVar[str] = "audit-head"
    document: Literal["audit-head"] = "audit-head"
    version: Literal[1] = 1
    writer: str
    sequence: int
    hash: str


def digest(line: dict[str, object]) -> str:
    """SHA-256 of a line's canonical JSON: sorted keys, no spaces, UTF-8."""
    return hashlib.sha256(json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
