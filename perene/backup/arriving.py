"""What is on its way from the repository, and is used while the rest of it is still coming."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from perene.errors import PereneError

PIECE = 1 << 20


@dataclass(frozen=True)
class Arriving:
    """pipe: gives what has come, and ends with it; wait: after that, PereneError when it was not everything."""

    pipe: int
    wait: Callable[[], object] = lambda: None

    def save(self, out: IO[bytes], progress: Callable[[int], None] = lambda _: None) -> None:
        """Everything into a file."""
        done = 0
        with written(str(out.name)):
            while piece := os.read(self.pipe, PIECE):
                left = memoryview(piece)
                while left:
                    # Past the file's buffer, which would try again when it is closed.
                    left = left[os.write(out.fileno(), left) :]
                done += len(piece)
                progress(done)
        self.wait()


@contextmanager
def written(where: str) -> Iterator[None]:
    """A file that cannot be written as an error that names it."""
    try:
        yield
    except OSError as failure:
        raise PereneError("what was fetched cannot be written", where=where, why=failure.strerror or str(failure)) from None


@contextmanager
def arrived(path: Path) -> Iterator[Arriving]:
    """A file that is all here."""
    with path.open("rb") as stream:
        yield Arriving(stream.fileno())
