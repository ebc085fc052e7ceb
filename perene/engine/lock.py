"""One run per checkout: a lock that falls with its holder, however that ends, and tells who holds it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import state


@contextmanager
def alone(root: Path, command: str) -> Iterator[None]:
    """Hold the checkout's lock. PereneError (exit 3) with the holder when another run has it."""
    path = state(root) / "run.lock"
    path.touch(mode=0o600)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise PereneError(
                f"another run works on this checkout: {_holder(file.read())}",
                where=".perene/run.lock",
                why="two runs at once would undo each other's steps",
                fix="wait for it, or stop it with Ctrl-C: what it did is kept and finished by the next run",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        file.truncate(0)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(json.dumps({"command": command, "pid": os.getpid(), "host": socket.gethostname(), "started": started}))
        file.flush()
        yield


def _holder(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return "it is just starting"
    return f"`{found['command']}`, process {found['pid']} on {found['host']}, since {found['started']}"
