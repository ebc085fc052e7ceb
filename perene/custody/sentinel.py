"""The sealed sentinel: a known text under the encryption key, by which a drill shows that a key opens what it should."""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TEXT = b"perene: this key opens what was sealed with it"
_PURPOSE = b"perene/sentinel/1"
_NONCE = 12


def seal(key: bytes) -> bytes:
    """The text sealed by AES-256-GCM under a 32-byte key: 12 bytes of nonce, then the sealed text."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, TEXT, _PURPOSE)


def opens(key: bytes, sealed: bytes) -> bool:
    """Whether the key opens the sentinel."""
    try:
        return len(key) == 32 and AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _PURPOSE) == TEXT
    except (InvalidTag, ValueError):
        return False


def fingerprint(key: bytes) -> str:
    """Sixteen hexadecimal digits that name a key without telling anything about it."""
    return hashlib.sha256(key).hexdigest()[:16]
