"""When each store was last proven to come back, from signed drill records."""

import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def proven_drills(directory: Path, stack: str, key: Path) -> dict[str, str]:
    """Store -> when its last passed drill ended, from signed drill records. A record that is broken or unsigned counts for nothing."""
    public = serialization.load_pem_public_key(key.read_bytes())
    found: dict[str, str] = {}
    for path in sorted(directory.rglob("*.json")):
        record = _record(path)
        if record.get("document") != "drill" or record.get("stack") != stack or record.get("verdict") != "passed":
            continue
        if isinstance(public, Ed25519PublicKey) and _signed(record, public):
            for store in record.get("stores", {}):
                found[store] = max(found.get(store, ""), str(record.get("finished")))
    return found


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _signed(record: dict[str, Any], key: Ed25519PublicKey) -> bool:
    """Ed25519 over the canonical document with an empty signature, in hexadecimal."""
    payload = json.dumps(record | {"signature": ""}, indent=2, ensure_ascii=False) + "\n"
    try:
        key.verify(bytes.fromhex(str(record.get("signature"))), payload.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
