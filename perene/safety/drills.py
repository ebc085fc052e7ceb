"""Drill records as evidence: signed by the jobs, and counted only where the signature holds."""

import base64
from pathlib import Path

from perene.contract.drill import DrillRecord
from perene.errors import PereneError
from perene.safety import signing

# A drill of these sources restored a whole set. One by point-in-time recovery proves another way back.
OF_SETS = frozenset({"set", "sealed"})


def signed(record: DrillRecord, private_key: bytes) -> DrillRecord:
    """The record with its signature: over the document with an empty one."""
    signature = signing.raw_signature(_message(record), private_key)
    return record.model_copy(update={"signature": base64.b64encode(signature).decode()})


def genuine(record: DrillRecord, public_key: bytes) -> bool:
    """Whether the owner of the public key (PEM) signed exactly this record."""
    try:
        signature = base64.b64decode(record.signature, validate=True)
    except ValueError:
        return False
    return signing.holds(_message(record), signature, public_key)


def proven_drills(directory: Path, stack: str, key: Path) -> dict[str, str]:
    """Store -> when its last passed drill ended, from signed drill records. A record that is broken or unsigned counts for nothing."""
    public = key.read_bytes()
    found: dict[str, str] = {}
    for path in sorted(directory.rglob("*.json")):
        try:
            record = DrillRecord.read(path)
        except PereneError:
            continue
        passed = record.stack == stack and record.verdict == "passed" and record.source in OF_SETS
        if passed and genuine(record, public):
            for store in record.stores:
                found[store] = max(found.get(store, ""), record.finished)
    return found


def _message(record: DrillRecord) -> bytes:
    return signing.message(record.KIND, record.model_copy(update={"signature": ""}).to_json())
