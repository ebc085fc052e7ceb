"""Running other programs: secrets through a pipe, errors with the last words of the program, nothing of the caller's environment."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from perene.errors import PereneError
from perene.exit_codes import ExitCode

# What a tool may see of our environment: places, and where the cloud's identity lies (paths, never values of secrets).
PASSED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "XDG_CACHE_HOME",
    "KUBECONFIG",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "NO_PROXY",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_PROJECT_ID",
)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a tool: the few variables of ours that it needs, and `extra`."""
    return {name: os.environ[name] for name in PASSED if name in os.environ} | dict(extra or {})


@contextmanager
def secret_pipe(value: bytes) -> Iterator[int]:
    """A file descriptor from which a child reads `value` once (`/dev/fd/N`): at most 4 KiB, so that writing never blocks."""
    if len(value) > 4096:
        raise ValueError("a secret for a pipe is at most 4096 bytes")
    read, write = os.pipe()
    try:
        os.write(write, value)
        os.close(write)
        yield read
    finally:
        os.close(read)


def tool_missing(name: str) -> PereneError:
    """The error for a program that is not installed."""
    return PereneError(
        f"{name} is not installed",
        why="backups and restores use the distribution's own tools",
        fix="use the ops image, or install it (Debian 13: apt-get install postgresql-17 postgresql-client-17 restic age)",
        exit_code=ExitCode.CANNOT_TELL,
    )


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, data: bytes | None = None, what: str) -> bytes:
    """Run a program to its end and return its output. PereneError names `what` failed with the program's last words."""
    try:
        done = subprocess.run(command, env=environment(env), input=data, capture_output=True, check=False)
    except FileNotFoundError:
        raise tool_missing(command[0]) from None
    if done.returncode:
        raise failed(what, command[0], done.returncode, done.stderr)
    return done.stdout


def failed(what: str, program: str, code: int, stderr: bytes) -> PereneError:
    """The error for a program that ended with `code`; at most its last 2000 characters are quoted."""
    words = stderr.decode(errors="replace").strip()[-2000:]
    ended = f"{program} was killed by signal {-code}" if code < 0 else f"{program} ended with {code}"
    return PereneError(f"{what} failed", why=f"{ended}: {words}" if words else ended)


# A program while it runs, and what waits for its end and says how it failed (None: it did not).
Running = tuple["subprocess.Popen[bytes]", Callable[[], PereneError | None]]
Filtering = AbstractContextManager[Running]


@contextmanager
def filtering(
    command: Sequence[str],
    *,
    what: str,
    stdin: int | IO[bytes] = subprocess.PIPE,
    stdout: int | IO[bytes] = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A program between its standard input and output."""
    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors, env=environment(env), bufsize=1 << 20)
        except FileNotFoundError:
            raise tool_missing(command[0]) from None

        def ended() -> PereneError | None:
            code = child.wait()
            errors.seek(0)
            return failed(what, command[0], code, errors.read()) if code else None

        yield child, ended


def version(program: str) -> str:
    """The first line that the program says of itself."""
    argument = "version" if program.endswith("restic") else "--version"
    return run([program, argument], what=f"asking {program} for its version").decode().splitlines()[0].strip()
