"""From a secret's reference to its value: mounted as a file in the cluster, else asked from its vault as whoever runs this.

In a pod that is the job's own identity, which may read the newest version and nothing else.
"""

import base64
import binascii
import json
import subprocess
from pathlib import Path

from perene.contract.tier import EncryptionKey, SecretRef
from perene.custody.needed import Needed
from perene.errors import PereneError
from perene.exit_codes import ExitCode

MOUNTED = Path("/etc/perene/secrets")
SECONDS = 30


def resolve(ref: SecretRef, mounted: Path = MOUNTED) -> bytes:
    """The secret's bytes. PereneError (exit 3) when it cannot be had; the value is in no argument, no environment and no error."""
    file = mounted / ref.name / (ref.key or "value")
    if file.is_file():
        return file.read_bytes()
    if ref.vault == "kubernetes":
        return _kubernetes(ref)
    from perene.custody.vaults import cloud  # noqa: PLC0415 - a cloud's SDK costs a second to import

    return cloud(ref.vault).latest(Needed(purpose="repository", ref=ref, keys=(ref.key,)))


def key_of(key: EncryptionKey, generation: int) -> bytes:
    """The encryption key of a generation that a set names. PereneError (exit 3) when the tier keeps it no more."""
    if generation not in key.generations:
        raise PereneError(
            "the tier does not declare it",
            why=f"it keeps {', '.join(map(str, key.generations))}",
            fix="declare it under encryptionKey.earlier, and put it back with `perene key recover`",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return resolve(key.generations[generation].ref)


def _kubernetes(ref: SecretRef) -> bytes:
    command = ["kubectl", "--request-timeout=10s", "--namespace", ref.scope, "get", "secret", ref.name, "--output=json"]
    data = json.loads(_ask(ref, command)).get("data", {})
    if ref.key not in data:
        raise _missing(ref, f"it has no key {ref.key!r}")
    try:
        return base64.b64decode(data[ref.key], validate=True)
    except binascii.Error:
        raise _missing(ref, "its value is no base64") from None


def _ask(ref: SecretRef, command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    except FileNotFoundError:
        raise _missing(ref, f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise _missing(ref, f"{command[0]} did not answer in {SECONDS} seconds") from None
    if done.returncode:
        raise _missing(ref, done.stderr.decode(errors="replace").strip()[-300:] or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def _missing(ref: SecretRef, why: str) -> PereneError:
    return PereneError(
        "the secret cannot be read",
        where=f"{ref.vault} secret {ref.scope}/{ref.name}{f' key {ref.key}' if ref.key else ''}",
        why=why,
        fix="make it once with `perene secrets init`, and see that this identity may read it",
        exit_code=ExitCode.CANNOT_TELL,
    )
