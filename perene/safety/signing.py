"""Ed25519 signatures over documents: the private key comes from the vault or a file, public keys lie in git (`keys/`)."""

import base64
import hashlib
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from perene.contract.approval import Signature, Signed
from perene.contract.base import Document
from perene.errors import PereneError
from perene.exit_codes import ExitCode

Doc = TypeVar("Doc", bound=Document)


def raw_signature(message: bytes, private_key: bytes) -> bytes:
    """Ed25519 over a message. private_key: PEM; PereneError (exit 3) when it is none, never with its content."""
    try:
        key = serialization.load_pem_private_key(private_key, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise PereneError(
            "the signing key is no Ed25519 private key in PEM", fix="perene secrets init makes one", exit_code=ExitCode.CANNOT_TELL
        )
    return key.sign(message)


def holds(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether a raw signature is of the owner of a public key (PEM)."""
    try:
        key = serialization.load_pem_public_key(public_key)
        if not isinstance(key, Ed25519PublicKey):
            return False
        key.verify(signature, message)
    except (ValueError, InvalidSignature):
        return False
    return True


def sign(document: Document, private_key: bytes, signer: str) -> Signed:
    """Sign a document. private_key: PEM; signer: the name under which the public key lies in `keys/`.

    PereneError (exit 3) when the key is no Ed25519 key.
    """
    payload = document.to_json()
    value = raw_signature(message(document.KIND, payload), private_key)
    return Signed(payload=payload, signature=Signature(signer=signer, value=base64.b64encode(value).decode()))


def verified(signed: Signed, kind: type[Doc], keys: Path, where: str) -> Doc:
    """The document inside, after its signature was checked against `keys/SIGNER.pub`. PereneError (exit 3) otherwise."""
    path = _key_path(keys, signed.signature.signer, where)
    try:
        genuine = holds(message(kind.KIND, signed.payload), base64.b64decode(signed.signature.value, validate=True), path.read_bytes())
    except (OSError, ValueError):
        genuine = False
    if not genuine:
        raise PereneError(
            f"its signature does not hold for {signed.signature.signer!r}",
            where=where,
            why=f"nobody whose key lies in {keys} signed exactly this",
            fix="have it approved again by somebody with a key in git",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return kind.parse(signed.payload, where)


def digest(document: Document) -> str:
    """sha256 of a document's canonical JSON, in hex."""
    return hashlib.sha256(document.to_json().encode()).hexdigest()


def message(kind: str, payload: str) -> bytes:
    """What is signed: the kind too, so that no document passes for one of another kind."""
    return f"perene {kind} 1\n{payload}".encode()


def _key_path(keys: Path, signer: str, where: str) -> Path:
    if "/" in signer or signer.startswith(".") or not signer:
        raise PereneError(f"{signer!r} is no name of a key", where=where, exit_code=ExitCode.CANNOT_TELL)
    return keys / f"{signer}.pub"
