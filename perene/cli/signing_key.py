"""Where a private signing key comes from: a file, the environment, or the vault. It is never printed."""

import os
import subprocess
from pathlib import Path

from perene.errors import PereneError
from perene.exit_codes import ExitCode


def read_key(reference: str) -> bytes:
    """The key in PEM. reference: a path, `env:NAME`, or `gcp:PROJECT/SECRET` (read with gcloud by the operator's own identity)."""
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        value = os.environ.get(rest, "")
        if not value:
            raise PereneError("the variable is empty", where=reference, exit_code=ExitCode.CANNOT_TELL)
        return value.encode()
    if scheme == "gcp" and "/" in rest:
        project, secret = rest.split("/", 1)
        return _gcloud(project, secret, reference)
    try:
        return Path(reference).read_bytes()
    except OSError as unreadable:
        raise PereneError(f"cannot read it: {unreadable.strerror}", where=reference, exit_code=ExitCode.CANNOT_TELL) from None


def _gcloud(project: str, secret: str, reference: str) -> bytes:
    arguments = ["gcloud", "secrets", "versions", "access", "latest", f"--secret={secret}", f"--project={project}"]
    try:
        return subprocess.run(arguments, capture_output=True, check=True, timeout=60).stdout
    except (OSError, subprocess.CalledProcessError) as failure:
        raise PereneError(f"the vault did not give it: {type(failure).__name__}", where=reference, exit_code=ExitCode.CANNOT_TELL) from None
