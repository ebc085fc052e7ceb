"""Whether a drill proved a set, told by one listing of the repository.

The drill signs, into a tag of its own record's snapshot, which snapshots it restored, by restic's hash over their content. Who can write to
the repository cannot forge that, and a proof of one content is none of another.
"""

import base64
from collections.abc import Iterable

from perene.backup.repository import Snapshot
from perene.safety import signing

TAG = "proof"
RECORD = "drill"


def prove(set_id: str, parts: Iterable[Snapshot], private_key: bytes) -> str:
    """The proof of a set as a tag's value. parts: all its snapshots, as listed before they were restored."""
    return base64.urlsafe_b64encode(signing.raw_signature(_statement(set_id, parts), private_key)).decode().rstrip("=")


def proven(set_id: str, parts: Iterable[Snapshot], public_key: str | None) -> bool:
    """Whether one of a set's snapshots carries a proof of all the others. Without a public key (PEM) nothing is proven."""
    listed = list(parts)
    if public_key is None:
        return False
    statement, key = _statement(set_id, listed), public_key.encode()
    return any(signing.holds(statement, _bytes(part.tags[TAG]), key) for part in listed if TAG in part.tags)


def _statement(set_id: str, parts: Iterable[Snapshot]) -> bytes:
    held = sorted(f"{part.host} {part.path} {part.tags.get('store', '')} {part.tree}" for part in parts if part.tags.get("part") != RECORD)
    return "\n".join(["perene proof 1", set_id, *held]).encode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
