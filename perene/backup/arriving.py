"""A file on its way from the repository: it is read from its beginning while the rest of it is still coming."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perene.backup import process

PIECE, WAIT_SECONDS = 1 << 20, 0.02


@dataclass(frozen=True, kw_only=True)
class Arriving:
    """A growing file; with `path` alone one that is all here.

    ended: whether nothing more comes; wait: until it is whole, PereneError when it is not.
    """

    path: Path
    ended: Callable[[], bool] = lambda: True
    wait: Callable[[], object] = lambda: None

    def pour(self, pipe: int, go_on: Callable[[int], bool]) -> None:
        """Everything into a pipe, as it comes, until nobody reads any more. go_on: is told the bytes so far; False ends it."""
        at = 0
        process.roomy(pipe)
        with self.path.open("rb") as file, suppress(BrokenPipeError):
            while go_on(at):
                # Asked before the file is: what came in between is read in the next turn.
                last = self.ended()
                sent = os.sendfile(pipe, file.fileno(), at, PIECE)
                at += sent
                if last and not sent:
                    return
                if not sent:
                    time.sleep(WAIT_SECONDS)
