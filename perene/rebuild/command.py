"""A derived store made anew by the application's own set-up command, which skips what exists."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from perene.contract.tier import CommandRebuild
from perene.contract.values import Duration
from perene.errors import PereneError
from perene.exit_codes import ExitCode

LAST = 2000


def rebuild(settings: CommandRebuild, where: Path) -> float | None:
    """Run check, command, check in a directory; seconds of the command, None when everything was there already.

    PereneError (exit 1) when the command fails or takes too long; (exit 6) when the check is not content afterwards.
    """
    limit = Duration.parse(settings.limit).seconds
    if _run(settings.check, where, limit)[0] == 0:
        return None
    began = time.monotonic()
    code, words = _run(settings.command, where, limit)
    if code:
        raise PereneError(
            f"{settings.command[0]} ended with {code}", where=str(where), why=words, fix="mend it and run the same command again"
        )
    seconds = time.monotonic() - began
    code, words = _run(settings.check, where, limit)
    if code:
        raise PereneError(
            "the command ended well, and its check does not find everything",
            where=" ".join(settings.check),
            why=words or f"it ended with {code}",
            fix="look at what the set-up command skips",
            exit_code=ExitCode.NOT_PROVEN,
        )
    return seconds


def _run(command: Sequence[str], where: Path, limit: float) -> tuple[int, str]:
    """Exit status and last words; with everything that it started it is ended at the limit."""
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(command, cwd=where, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
        except OSError as absent:
            raise PereneError(
                f"{command[0]} cannot be started: {absent.strerror}",
                where=str(where),
                fix="run it where the application is installed",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired:
            raise PereneError(f"{command[0]} did not end in {limit:.0f} s", where=str(where), fix="raise `limit`, or mend it") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - LAST))
        return code, said.read().decode(errors="replace").strip()
