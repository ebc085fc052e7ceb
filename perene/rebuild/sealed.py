"""The format of sealed photos that a face collection is made from (docs/rebuild.md): how they are opened, and under which key."""

from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from perene.contract.tier import EncryptionKey
from perene.custody import sentinel
from perene.custody.resolve import resolve
from perene.errors import PereneError
from perene.exit_codes import ExitCode

NONCE = 12
Opener = Callable[[str, bytes], bytes | None]


def opener(keys: Mapping[int, bytes]) -> Opener:
    """(id, sealed bytes) -> the photo, by the newest key that opens it; None when none does. keys: generation -> 32 bytes."""
    ciphers = [AESGCM(key) for _, key in sorted(keys.items(), reverse=True)]

    def open_(name: str, sealed: bytes) -> bytes | None:
        for cipher in ciphers:
            try:
                return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], name.encode())
            except (InvalidTag, ValueError):
                continue
        return None

    return open_


def keys_of(key: EncryptionKey) -> dict[int, bytes]:
    """Every generation with which data may be sealed. PereneError (exit 6) when one does not open its own sentinel."""
    found = {}
    for generation, one in key.generations.items():
        if one.in_use:
            found[generation] = resolve(one.ref)
            if one.sentinel and not sentinel.opens(found[generation], resolve(one.sentinel)):
                raise PereneError(
                    f"the encryption key (generation {generation}) is not the one that the sentinel was sealed with",
                    where=f"{one.ref.vault} secret {one.ref.scope}/{one.ref.name}",
                    why="no photo would open",
                    fix="perene key check says what is wrong; perene key recover puts the right one back",
                    exit_code=ExitCode.NOT_PROVEN,
                )
    return found
