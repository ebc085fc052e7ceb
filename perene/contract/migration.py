"""Documents about schema changes: the plan, the rehearsal's record, the ledger's export, the comparison of environments."""

from typing import ClassVar, Literal

from perene.contract.base import Document, Value

# In rising order of harm.
Impact = Literal["SAFE", "LOCKS", "REWRITES", "LOSES-DATA"]
IMPACTS: tuple[Impact, ...] = ("SAFE", "LOCKS", "REWRITES", "LOSES-DATA")


class Finding(Value):
    """What one statement does to a table.

    lock: PostgreSQL's name of the strongest lock; expected_ms: how long it is held, from the table's size in the live catalogue;
    table_bytes: with its indexes; contracts: an older application that uses what goes away would fail.
    """

    rule: str
    impact: Impact
    statement: int
    text: str
    table: str = ""
    lock: str = ""
    expected_ms: int = 0
    table_bytes: int = 0
    contracts: bool = False


class Advice(Value):
    """A linter's remark: the rule's name at its documentation, the line and the text."""

    rule: str
    line: int
    text: str


class PlannedMigration(Value):
    """One pending migration and what it does."""

    version: int
    name: str
    description: str
    up_checksum: str
    down_checksum: str
    phase: Literal["expand", "contract"]
    compatible: str
    revert: str
    transactional: bool
    impact: Impact
    expected_ms: int
    findings: tuple[Finding, ...]
    advice: tuple[Advice, ...] = ()


class MigrationPlan(Document):
    """What `perene migrate plan` found. scripts: sha256 over exactly the pending scripts; problems: why `apply` would refuse."""

    KIND: ClassVar[str] = "migration-plan"
    document: Literal["migration-plan"] = "migration-plan"
    version: Literal[1] = 1
    database: str
    applied: int
    newest: int
    scripts: str
    pending: tuple[PlannedMigration, ...]
    impact: Impact
    problems: tuple[str, ...] = ()


class Rehearsed(Value):
    """One migration's times in the rehearsal, in milliseconds, with the locks that it held (`table mode`)."""

    version: int
    name: str
    up_checksum: str
    down_checksum: str
    up_ms: int
    down_ms: int | None
    again_ms: int | None
    locks: tuple[str, ...]


class RehearsalRecord(Document):
    """Proof that exactly these scripts ran forwards, back and forwards on a restored copy.

    scripts: as in the plan; recovery_set: the set that was restored; impact: the plan's, on the copy;
    untouched: tables compared; differing: tables that no script
    touches and that changed all the same.
    """

    KIND: ClassVar[str] = "migration-rehearsal"
    document: Literal["migration-rehearsal"] = "migration-rehearsal"
    version: Literal[1] = 1
    store: str
    scripts: str
    recovery_set: str
    finished_at: str
    by: str
    commit: str
    restore_seconds: float
    migration_seconds: float
    total_seconds: float
    impact: Impact
    migrations: tuple[Rehearsed, ...]
    untouched: int
    differing: tuple[str, ...]
    passed: bool


class MigrationApproval(Document):
    """Another person's yes to one rehearsed set of scripts, signed (perene.safety.signing).

    rehearsal: sha256 of the rehearsal record's canonical JSON, so that everything in it is what was approved; authors: who wrote the
    scripts; impact: the worst that was approved; times: RFC 3339.
    """

    KIND: ClassVar[str] = "migration-approval"
    document: Literal["migration-approval"] = "migration-approval"
    version: Literal[1] = 1
    store: str
    rehearsal: str
    impact: Impact
    authors: tuple[str, ...]
    approver: str
    at: str
    expires: str


class AppliedMigration(Value):
    """A row of the ledger: what the database has."""

    version: int
    name: str
    description: str
    up_checksum: str
    down_checksum: str
    applied_at: str
    by: str
    commit: str
    milliseconds: int


class AuditEvent(Value):
    """A row of the audit: who did what, when, how long, from which commit, with which result."""

    id: int
    version: int
    name: str
    action: Literal["apply", "revert"]
    result: Literal["done", "failed"]
    started_at: str
    milliseconds: int
    login: str
    by: str
    commit: str
    lock_timeout: str
    statement_timeout: str
    evidence: str
    detail: str


class LedgerExport(Document):
    """A database's migrations and their whole audit, as it goes with a recovery set."""

    KIND: ClassVar[str] = "migration-ledger"
    document: Literal["migration-ledger"] = "migration-ledger"
    version: Literal[1] = 1
    environment: str
    database: str
    taken_at: str
    applied: tuple[AppliedMigration, ...]
    audit: tuple[AuditEvent, ...]


class MigrationStatus(Document):
    """Environments side by side. rows: version -> environment -> `applied`, `pending`, `changed` or `unknown`.

    verdict: equal; behind (some lack migrations that are in the directory); diverged (a changed checksum, or one that no file has).
    """

    KIND: ClassVar[str] = "migration-status"
    document: Literal["migration-status"] = "migration-status"
    version: Literal[1] = 1
    scripts: str
    environments: tuple[str, ...]
    rows: dict[str, dict[str, str]]
    verdict: Literal["equal", "behind", "diverged"]
    reasons: tuple[str, ...] = ()
