"""The offline escrow: every secret of a tier in one file that only the holder of an age identity can open."""

import base64
import hashlib
import json
from pathlib import Path

import pyrage

from perene.custody.material import Content
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import state, write_private


def parse_recipient(text: str) -> pyrage.x25519.Recipient:
    """An `age1...` recipient; PereneError (exit 2) when it is none."""
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise PereneError(
            "is not an age recipient",
            where="escrow",
            fix="make an identity on an offline machine with `age-keygen`, and give its public line (age1...)",
            exit_code=ExitCode.USAGE,
        ) from None


def identities(file: Path) -> list[pyrage.x25519.Identity]:
    """The identities in a file that `age-keygen` wrote. PereneError (exit 2) when it holds none; never a line of it."""
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        found = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines]
    except (OSError, ValueError, pyrage.IdentityError):
        found = []
    if not found:
        raise PereneError("holds no age identity", where=str(file), fix="name a file that `age-keygen` wrote", exit_code=ExitCode.USAGE)
    return found


def file_of(root: Path, stack: str, recipient: str) -> Path:
    """Where the escrow of a stack for a recipient lies."""
    return root / ".perene" / "escrow" / f"{stack}-{hashlib.sha256(recipient.strip().encode()).hexdigest()[:12]}.age"


def write(root: Path, stack: str, recipient: str, secrets: dict[str, Content]) -> Path:
    """Seal all secrets to the recipient, as armored text; an earlier escrow stays beside it."""
    path = file_of(root, stack, recipient)
    values = {name: {key: base64.b64encode(value).decode() for key, value in content.items()} for name, content in sorted(secrets.items())}
    plain = json.dumps({"document": "escrow", "version": 1, "stack": stack, "secrets": values}).encode()
    state(root, "escrow")
    if path.exists():
        path.replace(path.with_suffix(".age.before"))
    write_private(path, pyrage.encrypt(plain, [parse_recipient(recipient)], armored=True))
    return path


def read(path: Path, identity: Path) -> dict[str, Content]:
    """Open an escrow file with an age identity file: name -> content. PereneError (exit 6) when it does not open."""
    document = json.loads(unseal(path.read_bytes(), identity, str(path)))
    return {name: {key: base64.b64decode(value) for key, value in content.items()} for name, content in document["secrets"].items()}


def unseal(sealed: bytes, identity: Path, where: str) -> bytes:
    """What was sealed to an age identity file's identity. PereneError (exit 6) when it does not open."""
    keys = identities(identity)
    try:
        return pyrage.decrypt(sealed, keys)
    except pyrage.DecryptError as closed:
        raise PereneError(f"does not open with {identity}: {closed}", where=where, exit_code=ExitCode.NOT_PROVEN) from None
