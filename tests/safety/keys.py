"""Throw-away signing keys for tests."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def make_key(keys: Path, name: str) -> bytes:
    """A private key in PEM, with its public half as keys/NAME.pub."""
    key = Ed25519PrivateKey.generate()
    keys.mkdir(exist_ok=True)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (keys / f"{name}.pub").write_bytes(public)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
