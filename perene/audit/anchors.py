"""The heads of chains that were anchored elsewhere: in the manifests of recovery sets, in the repository and in the sealed copy."""

import json
from collections.abc import Iterator
from pathlib import Path

from perene.audit.store import Store
from perene.backup import sets
from perene.backup.tier import open_repository
from perene.contract.audit import AuditHead
from perene.contract.recovery_set import RecoverySet
from perene.contract.tier import TierDocument

COPIES = "evidence/sets/"


def beside(store: Store) -> Iterator[AuditHead]:
    """From the copies of manifests beside the repository. Who may change the audit may change these: they find accidents, not malice."""
    for name in store.names(COPIES):
        yield from RecoverySet.parse(store.read(name), name).audit


def inside(tier: TierDocument, *, url: str | None = None) -> Iterator[AuditHead]:
    """From the manifests in the repository itself, which nobody writes or changes without its password."""
    repository = open_repository(tier, url=url)
    for one in sets.on_hand(repository.snapshots()):
        yield from sets.load(repository, one.id).audit


def of_file(path: Path) -> tuple[AuditHead, ...]:
    """From a document: one head, or a manifest as it was opened from the sealed copy. PereneError when it is neither."""
    content = path.read_bytes() if path.is_file() else b""
    try:
        kind = json.loads(content).get("document", "")
    except (ValueError, AttributeError):
        kind = ""
    return RecoverySet.read(path).audit if kind == RecoverySet.KIND else (AuditHead.read(path),)
