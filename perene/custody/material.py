"""Making a secret's content: pure but for the system's random numbers. What exists already is handed in, never made again."""

import secrets
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from perene.custody import certificates, sentinel
from perene.custody.needed import CA, Needed

Content = dict[str, bytes]
# What exists or was made before: name of the secret -> content.
Known = Mapping[str, Content]
# 32 letters of 62: 190 bits; no character that a shell, a URL or a password file reads otherwise.
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def make(secret: Needed, known: Known, system: str, key: bytes) -> Content:
    """The content of a missing secret. system names the authority; key: what a sentinel is sealed with."""
    makers: dict[str, Callable[[], Content]] = {
        "ca": lambda: _authority(f"perene {system}"),
        "certificate": lambda: _certificate(secret, known[CA]),
        "password": lambda: {"username": secret.user.encode(), secret.ref.key: password().encode()},
        "repository": lambda: {secret.ref.key: password().encode()},
        "encryption-key": lambda: {secret.ref.key: secrets.token_bytes(32)},
        "sentinel": lambda: {secret.ref.key: sentinel.seal(key)},
        "signing": lambda: {secret.ref.key: _signing_key()},
    }
    return makers[secret.purpose]()


def password() -> str:
    """A new password."""
    return "".join(secrets.choice(ALPHABET) for _ in range(32))


def public_key(signing_key: bytes) -> bytes:
    """The public half of a signing key, both PEM."""
    private = serialization.load_pem_private_key(signing_key, None)
    return private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _authority(name: str) -> Content:
    pair = certificates.make_authority(name)
    return {"ca.crt": pair.certificate, "ca.key": pair.key}


def _certificate(secret: Needed, authority: Content) -> Content:
    pair = certificates.make_server(certificates.Pair(authority["ca.crt"], authority["ca.key"]), secret.hosts)
    return {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority["ca.crt"]}


def _signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
