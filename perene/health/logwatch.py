"""Counts what a PostgreSQL's log says by how bad it is. Only counts leave this module, never a line: lines may hold a person's data."""

import re
from collections import Counter
from dataclasses import dataclass, field

KINDS = ("error", "fatal", "panic", "damage")
_DAMAGE = re.compile(
    r"invalid page in block|could not read block|page verification failed|could not open file .*: No such file|missing chunk number"
)
_SEVERITY = re.compile(r"\b(ERROR|FATAL|PANIC):  ")
# What a server says while it starts or stops is no fault.
_HARMLESS = re.compile(
    r"the database system is (starting up|shutting down|not yet accepting connections)|terminating connection due to administrator"
)


def kind_of(line: str) -> str | None:
    """`damage`, `panic`, `fatal`, `error`, or None for a line that is no fault."""
    if _DAMAGE.search(line):
        return "damage"
    severity = _SEVERITY.search(line)
    if not severity or _HARMLESS.search(line):
        return None
    return severity[1].lower()


@dataclass
class LogCounter:
    """Counts of one pod's log. Feed it what the API gives with `timestamps=true`; lines it has seen are not counted again."""

    counts: Counter[str] = field(default_factory=Counter)
    last: str = ""

    def feed(self, text: str) -> None:
        """Count the lines after the last one seen (each starts with an RFC 3339 time, so that texts compare as times do)."""
        newest = self.last
        for line in text.splitlines():
            stamp, _, rest = line.partition(" ")
            if stamp <= self.last:
                continue
            newest = max(newest, stamp)
            kind = kind_of(rest)
            if kind:
                self.counts[kind] += 1
        self.last = newest
