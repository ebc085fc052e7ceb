"""A restic repository whose key opens at once: restic makes keys that take half a second of processor time at each call.

Key files as restic's design document has them (References, "Keys, Encryption and MAC"): scrypt, AES-256-CTR, Poly1305-AES.
"""

import base64
import hashlib
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from perene.backup.repository import Repository

# The least that still is scrypt: for repositories of tests, whose password stands in the source.
QUICK = {"N": 2, "r": 1, "p": 1}


def new_repository(path: Path, password: bytes = b"x") -> Repository:
    """A new repository on a volume, of the host `test`, whose key opens at once."""
    made = Repository(url=str(path), password=lambda: password, host="test")
    made.init()
    quicken(path, password)
    return made


def quicken(repository: Path, password: bytes) -> None:
    """Seal the only key of a new repository again, under the cheapest parameters."""
    (file,) = (path for path in (repository / "keys").iterdir())
    key = json.loads(file.read_bytes())
    salt, sealed = base64.b64decode(key["salt"]), base64.b64decode(key["data"])
    nonce, text, tag = sealed[:16], sealed[16:-16], sealed[-16:]
    before = _derived(password, salt, key)
    assert _mac(before, nonce, text) == tag, "the key file is not as restic describes it"
    plain = _crypt(before, nonce, text)
    after, nonce = _derived(password, salt, QUICK), os.urandom(16)
    text = _crypt(after, nonce, plain)
    changed = json.dumps({**key, **QUICK, "data": base64.b64encode(nonce + text + _mac(after, nonce, text)).decode()}).encode()
    (file.parent / hashlib.sha256(changed).hexdigest()).write_bytes(changed)
    file.unlink()


def _derived(password: bytes, salt: bytes, key: dict[str, int]) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=key["N"], r=key["r"], p=key["p"], dklen=64, maxmem=1 << 30)


def _crypt(key: bytes, nonce: bytes, text: bytes) -> bytes:
    return Cipher(algorithms.AES(key[:32]), modes.CTR(nonce)).encryptor().update(text)


def _mac(key: bytes, nonce: bytes, text: bytes) -> bytes:
    pad = Cipher(algorithms.AES(key[32:48]), modes.ECB()).encryptor().update(nonce)  # noqa: S305 - Poly1305-AES enciphers one block
    return Poly1305.generate_tag(key[48:] + pad, text)
