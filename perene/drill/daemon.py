"""A server of a store's own for a while: started on a directory, waited for, stopped by its own process, its last words in an error."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from perene.backup import process
from perene.errors import PereneError

STOP_SECONDS = 60


@contextmanager
def daemon(
    command: Sequence[str],
    *,
    what: str,
    folder: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    seconds: float = 60,
    kill: bool = True,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server in `folder` until the block ends.

    ready: asked until it is true; kill: the server is thrown away, so that it need not write anything at its end.

    PereneError with the server's last words when it ends by itself or is not ready after `seconds`.
    """
    log = folder / "server.log"
    try:
        with log.open("wb") as out:
            server = subprocess.Popen(
                command,
                env=process.environment(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except FileNotFoundError:
        raise process.tool_missing(command[0]) from None
    try:
        _wait(server, what, log, ready, time.monotonic() + seconds)
        yield server
    finally:
        _stop(server, signal.SIGKILL if kill else signal.SIGTERM)


def _wait(server: "subprocess.Popen[bytes]", what: str, log: Path, ready: Callable[[], bool], until: float) -> None:
    while not ready():
        code = server.poll()
        if code is not None:
            raise process.failed(what, str(server.args[0]), code, log.read_bytes())  # type: ignore[index]
        if time.monotonic() > until:
            words = log.read_bytes().decode(errors="replace").strip()[-2000:]
            raise PereneError(f"{what} failed", why=f"the server was not ready in time: {words}")
        time.sleep(0.02)


def _stop(server: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """The server and what it started: they are one session."""
    for word in (how, signal.SIGKILL):
        try:
            os.killpg(server.pid, word)
        except ProcessLookupError:
            break
        try:
            server.wait(STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
