"""age over zstd as streams, in both directions: the end of a stream is an end only when every step before it ended well."""

import io
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import pyrage

from perene.backup import packing, process
from perene.custody import escrow
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# Two threads: more would take memory by the core.
PACK = ("zstd", "--quiet", "-3", "-T2", "--stdout")


class _Checked(io.RawIOBase):
    """A pipe whose end raises what a step failed by."""

    def __init__(self, source: IO[bytes], finish: Callable[[], None]) -> None:
        self._source, self._finish = source, finish

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        chunk = os.read(self._source.fileno(), view.nbytes)
        view[: len(chunk)] = chunk
        if not chunk:
            self._finish()
        return len(chunk)


class _Step(threading.Thread):
    """A step in a thread of its own, with what it failed by."""

    def __init__(self, work: Callable[[], object], after: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work, self._after = work, after
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Do it, and close what the next step reads from."""
        try:
            self._work()
        except BaseException as failure:  # noqa: BLE001 - it is raised again where the stream is read
            self.failure = failure
        finally:
            with suppress(OSError):
                self._after()


@contextmanager
def sealed(write: Callable[[IO[bytes]], None], recipients: Sequence[str]) -> Iterator[IO[bytes]]:
    """What `write` writes, compressed and encrypted; reading it to its end raises what a step failed by."""
    keys = [escrow.parse_recipient(one) for one in recipients]
    inner, outer = os.pipe()
    read, out = os.fdopen(inner, "rb", buffering=0), os.fdopen(outer, "wb")
    with process.filtering(PACK, what="packing") as (child, failed):
        steps = [
            _Step(lambda: write(cast(IO[bytes], child.stdin)), _pipe(child.stdin).close),
            _Step(lambda: pyrage.encrypt_io(_pipe(child.stdout), out, keys), out.close),
        ]
        try:
            yield io.BufferedReader(_Checked(read, lambda: _finish(steps, failed)), 1 << 20)
        finally:
            read.close()
            _abort(child, steps)


@contextmanager
def opened(source: IO[bytes], identity: Path) -> Iterator[IO[bytes]]:
    """What was sealed, from its encrypted form; its end raises what a step failed by. identity: an age identity file."""
    keys = escrow.identities(identity)
    with process.filtering(packing.UNPACK, what="packing") as (child, failed):
        steps = [_Step(lambda: pyrage.decrypt_io(_pipe(source), _pipe(child.stdin), keys), _pipe(child.stdin).close)]
        try:
            yield io.BufferedReader(_Checked(cast(IO[bytes], child.stdout), lambda: _finish(steps, failed)), 1 << 20)
        finally:
            _pipe(child.stdout).close()
            _abort(child, steps)


def _finish(steps: Sequence[_Step], failed: Callable[[], PereneError | None]) -> None:
    for step in steps:
        step.join()
    # A step that ended because the next one was gone says nothing; the one that broke first does.
    causes = [step.failure for step in steps if step.failure and not isinstance(step.failure, BrokenPipeError)]
    for cause in causes:
        # What age finds in the middle of a file comes as an OSError that no system call made.
        if isinstance(cause, pyrage.DecryptError) or (isinstance(cause, OSError) and cause.errno is None):
            raise PereneError(
                "the archive does not open with this identity, or it is truncated or altered",
                why=str(cause),
                fix="name the identity of its recipient; nothing was made of it",
                exit_code=ExitCode.NOT_PROVEN,
            ) from None
        raise cause
    broken = failed()
    if broken:
        raise broken


def _abort(child: "subprocess.Popen[bytes]", steps: Sequence[_Step]) -> None:
    child.kill()
    child.wait()
    for step in steps:
        step.join()
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with suppress(OSError):
                pipe.close()


def _pipe(pipe: IO[bytes] | None) -> io.BufferedIOBase:
    if not isinstance(pipe, io.BufferedIOBase):
        raise TypeError("a buffered file is needed")
    return pipe
