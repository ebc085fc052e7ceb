"""The hash-chained audit: appending a line, and finding a line that was removed, changed, reordered or cut off.

One chain per writer, one object per line (`audit/<writer>/00000001.json`), so that create-only rights are enough and two writers never
meet. A chain alone cannot show that its end was cut off: for that its head is anchored in the manifests of recovery sets and in the
sealed copy, and verification takes those anchors.
"""

import getpass
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from perene.audit.store import AlreadyExistsError, Store
from perene.contract.audit import GENESIS, AuditHead, AuditLine, Result, digest
from perene.errors import PereneError
from perene.exit_codes import ExitCode

_NAME = re.compile(r"audit/(?P<writer>[a-z0-9][a-z0-9.-]{0,62})/(?P<sequence>\d{8})\.json")
_TRIES = 50


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong with a chain. kind: `removed`, `changed`, `reordered`, `cut off`, `foreign`, `unreadable`."""

    writer: str
    sequence: int
    kind: str
    what: str


def writer_name() -> str:
    """Whose chain this process continues: PERENE_WRITER (a job has one, however its pods are called), else this computer's host name."""
    name = os.environ.get("PERENE_WRITER") or socket.gethostname()
    return re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")[:63] or "unnamed"


def actor_name() -> str:
    """Who acts: PERENE_ACTOR, else the user that this process runs as."""
    try:
        return os.environ.get("PERENE_ACTOR") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _name(writer: str, sequence: int) -> str:
    return f"audit/{writer}/{sequence:08d}.json"


class Chain:
    """One writer's chain in a store."""

    def __init__(self, store: Store, writer: str) -> None:
        if not _NAME.fullmatch(_name(writer, 1)):
            raise ValueError(f"{writer!r} is no writer's name: small letters, digits, dots and hyphens, at most 63")
        self.store, self.writer = store, writer

    def head(self) -> AuditHead:
        """Where the chain ends now (sequence 0 and GENESIS before its first line)."""
        names = self.store.names(f"audit/{self.writer}/")
        if not names:
            return AuditHead(writer=self.writer, sequence=0, hash=GENESIS)
        last = AuditLine.model_validate_json(self.store.read(names[-1]))
        return AuditHead(writer=self.writer, sequence=last.sequence, hash=last.hash)

    def append(
        self,
        operation: str,
        *,
        stack: str,
        subject: str,
        result: Result,
        details: Mapping[str, str] | None = None,
        actor: str | None = None,
        now: datetime | None = None,
    ) -> AuditLine:
        """Write the next line. Another process of the same writer may win the number: then the next one is taken. PereneError when it
        cannot be written: an operation that touches data must not go on unseen."""
        for _ in range(_TRIES):
            head = self.head()
            content: dict[str, object] = {
                "writer": self.writer,
                "sequence": head.sequence + 1,
                "at": (now or datetime.now(UTC)).isoformat(timespec="milliseconds"),
                "actor": actor or actor_name(),
                "stack": stack,
                "operation": operation,
                "subject": subject,
                "result": result,
                "details": dict(details or {}),
                "previous": head.hash,
            }
            line = AuditLine.model_validate({**content, "hash": digest(content)})
            try:
                self.store.create(_name(self.writer, line.sequence), (line.model_dump_json() + "\n").encode())
            except AlreadyExistsError:
                continue
            return line
        raise PereneError(
            f"no free place in the audit chain of {self.writer} after {_TRIES} tries",
            why="an operation that touches data must not go on unseen",
            fix="look for another process that writes audit lines under the same name",
            exit_code=ExitCode.CANNOT_TELL,
        )


def lines(store: Store) -> list[AuditLine]:
    """Every readable line of every writer, by time."""
    found = []
    for name in store.names("audit/"):
        try:
            found.append(AuditLine.model_validate_json(store.read(name)))
        except ValueError:
            continue
    return sorted(found, key=lambda line: (line.at, line.writer, line.sequence))


def heads(store: Store) -> tuple[AuditHead, ...]:
    """The head of every writer's chain: what a manifest carries."""
    writers = sorted({match["writer"] for name in store.names("audit/") if (match := _NAME.fullmatch(name))})
    return tuple(Chain(store, writer).head() for writer in writers)


def verify(store: Store, anchors: Iterable[AuditHead] = ()) -> list[Finding]:
    """Everything that is wrong with every chain, given the heads that were anchored elsewhere (any number per writer, of any age)."""
    findings: list[Finding] = []
    chains: dict[str, dict[int, AuditLine | None]] = {}
    for name in store.names("audit/"):
        place = _NAME.fullmatch(name)
        if not place:
            findings.append(Finding(writer="", sequence=0, kind="foreign", what=f"{name} is no audit line"))
            continue
        chain = chains.setdefault(place["writer"], {})
        try:
            chain[int(place["sequence"])] = AuditLine.model_validate_json(store.read(name))
        except ValueError:
            chain[int(place["sequence"])] = None
            findings.append(
                Finding(writer=place["writer"], sequence=int(place["sequence"]), kind="unreadable", what=f"{name} is no valid line")
            )
    for writer, chain in sorted(chains.items()):
        findings += _chain(writer, chain)
    for anchor in anchors:
        findings += _anchored(anchor, chains.get(anchor.writer, {}))
    return findings


def _chain(writer: str, chain: Mapping[int, AuditLine | None]) -> list[Finding]:
    found = []
    previous: str | None = GENESIS
    for sequence in range(1, max(chain) + 1):
        line = chain.get(sequence)
        if sequence not in chain:
            found.append(Finding(writer=writer, sequence=sequence, kind="removed", what=f"line {sequence} is missing"))
        elif line is not None:
            if (line.writer, line.sequence) != (writer, sequence):
                what = f"line {line.sequence} of {line.writer} lies in the place of line {sequence} of {writer}"
                found.append(Finding(writer=writer, sequence=sequence, kind="reordered", what=what))
            if line.hash != line.computed():
                what = f"line {sequence} ({line.operation} {line.subject}) is not what was written"
                found.append(Finding(writer=writer, sequence=sequence, kind="changed", what=what))
            elif previous is not None and line.previous != previous:
                what = f"line {sequence} does not follow from line {sequence - 1}: one of them was replaced"
                found.append(Finding(writer=writer, sequence=sequence, kind="changed", what=what))
        previous = line.hash if line is not None else None
    return found


def _anchored(anchor: AuditHead, chain: Mapping[int, AuditLine | None]) -> list[Finding]:
    if anchor.sequence == 0:
        return []
    line = chain.get(anchor.sequence)
    if anchor.sequence > max(chain, default=0):
        what = f"the chain ended at line {anchor.sequence} when it was anchored, now at {max(chain, default=0)}"
        return [Finding(writer=anchor.writer, sequence=anchor.sequence, kind="cut off", what=what)]
    if line is not None and line.hash != anchor.hash:
        what = f"line {anchor.sequence} differs from the one that was anchored: the chain was written anew"
        return [Finding(writer=anchor.writer, sequence=anchor.sequence, kind="changed", what=what)]
    return []
