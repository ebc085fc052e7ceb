"""The drill record: signed evidence that a set came back, or that it did not."""

from typing import ClassVar, Literal

from perene.contract.base import Document, Value


class Difference(Value):
    """One thing that came back other than it was. kind: `table`, `rows`, `object`, `sequence`, `role`, ...; where: its name."""

    kind: str
    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind} {self.where}: expected {self.expected}, found {self.found}"


class CheckResult(Value):
    """A configured check after the restore. found: -1 where it could not be counted."""

    count: str
    at_least: int
    found: int


class DamageResult(Value):
    """The damaged canary of this drill: which damage, how it was noticed (empty: it was not), seconds apart from the drill's own."""

    kind: str
    found_by: str
    seconds: float


class StoreResult(Value):
    """One store: what differs (empty: nothing), the checks, seconds to fetch, restore and compare, bytes.

    damage: what was done on purpose to the drill's own copy of this store after it was compared; PostgreSQL has its canary instead;
    not_compared: what this server cannot have as the original had it, by name.
    """

    differences: tuple[Difference, ...]
    checks: tuple[CheckResult, ...]
    seconds: dict[str, float]
    bytes: int
    damage: DamageResult | None = None
    not_compared: tuple[str, ...] = ()


class DrillRecord(Document):
    """What a drill did and found.

    source: `set`, `sealed`, `pitr` or `restore`; verdict: `passed` only when everything below agrees; rpo_seconds: age of the restored data
    when the drill began; rto_seconds: from start to proven; server: settings in which the drill's own PostgreSQL differs from a live one
    and is faster than it; signature: Ed25519 over the document with an empty signature, base64.
    """

    KIND: ClassVar[str] = "drill"
    document: Literal["drill"] = "drill"
    version: Literal[1] = 1
    stack: str
    environment: str
    source: Literal["set", "sealed", "pitr", "restore"]
    set: str
    started: str
    finished: str
    verdict: Literal["passed", "failed"]
    reasons: tuple[str, ...]
    stores: dict[str, StoreResult]
    key_opened: bool | None
    damage: DamageResult | None
    rpo_seconds: float
    rpo_goal_seconds: float
    rto_seconds: float
    rto_goal_seconds: float
    bytes: int
    versions: dict[str, str]
    server: dict[str, str] = {}
    signature: str = ""
