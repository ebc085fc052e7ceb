"""What the rules share: the findings of one script as they grow, and how long a lock is held on a table of a known size."""

from dataclasses import dataclass, field

from perene.contract.migration import Finding, Impact
from perene.migrate.catalogue import Catalogue, Relation

# Conservative rates of one backend on a slow cloud disk; a rehearsal measures the real ones (docs/adr/0062-classification.md).
SCAN_BYTES_PER_SECOND = 100_000_000
REWRITE_BYTES_PER_SECOND = 25_000_000
BRIEF_MS = 10

ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
SHARE = "SHARE"
ROW_EXCLUSIVE = "ROW EXCLUSIVE"


@dataclass(kw_only=True)
class Effects:
    """The judgement of a sequence of scripts. catalogue: the live one; new: tables and columns that only these scripts made."""

    catalogue: Catalogue
    new: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    statement: int = 0

    def known(self, table: str) -> Relation | None:
        """The live relation, None when it is new in these scripts or not there."""
        return None if table in self.new else self.catalogue.relations.get(table)

    def brief(
        self, rule: str, text: str, table: str, lock: str = ACCESS_EXCLUSIVE, *, impact: Impact = "SAFE", contracts: bool = False
    ) -> None:
        """A lock that is held for a moment, whatever the table's size."""
        self._add(rule, impact, text, table, lock=lock, milliseconds=BRIEF_MS, contracts=contracts)

    def scan(self, rule: str, text: str, table: str, lock: str = ACCESS_EXCLUSIVE) -> None:
        """A lock that is held while the table is read."""
        self._add(rule, "LOCKS", text, table, lock=lock, milliseconds=self._milliseconds(table, SCAN_BYTES_PER_SECOND))

    def rewrite(self, rule: str, text: str, table: str, lock: str = ACCESS_EXCLUSIVE) -> None:
        """A lock that is held while the table and its indexes are written anew."""
        self._add(rule, "REWRITES", text, table, lock=lock, milliseconds=self._milliseconds(table, REWRITE_BYTES_PER_SECOND))

    def loses(self, rule: str, text: str, table: str = "", lock: str = ACCESS_EXCLUSIVE, *, contracts: bool = True) -> None:
        """Data that is there now will not be there afterwards."""
        self._add(rule, "LOSES-DATA", text, table, lock=lock, milliseconds=BRIEF_MS, contracts=contracts)

    def _milliseconds(self, table: str, rate: int) -> int:
        relation = self.known(table)
        return BRIEF_MS + (relation.size * 1000 // rate if relation else 0)

    def _add(self, rule: str, impact: Impact, text: str, table: str, *, lock: str, milliseconds: int, contracts: bool = False) -> None:
        if table in self.new:  # nobody uses it yet, and nothing of before is in it
            return
        relation = self.known(table)
        self.findings.append(
            Finding(
                rule=rule,
                impact=impact,
                statement=self.statement,
                text=text,
                table=table,
                lock=lock,
                expected_ms=milliseconds,
                table_bytes=relation.size if relation else 0,
                contracts=contracts,
            )
        )
