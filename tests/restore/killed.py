"""A restore in place in a process of its own that dies by SIGKILL: `python -m tests.restore.killed TIER [STEP]`.

STEP: the beginning or end of a stage at which it dies, as it says them on stdout; without one it runs to its end.
"""

import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from perene.backup import sets
from perene.backup.progress import Stages
from perene.contract.tier import TierDocument
from perene.restore import in_place, run
from tests.restore.conftest import opened


class Deadly(Stages):
    """Says each beginning and end of a stage on stdout, and dies at one of them."""

    def __init__(self, deadly: str) -> None:
        super().__init__(io.StringIO(), live=False)
        self._deadly = deadly

    @contextmanager
    def stage(self, name: str, subject: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        self._step(f"{name} {subject} begins")
        with super().stage(name, subject, total) as progress:
            yield progress
        self._step(f"{name} {subject} ends")

    def _step(self, what: str) -> None:
        sys.stdout.write(what + "\n")
        sys.stdout.flush()
        if what == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    tier = TierDocument.read(Path(sys.argv[1]))
    assert tier.repository
    repository, stages = opened(Path(tier.repository.url)), Deadly(sys.argv[2] if len(sys.argv) > 2 else "")
    under_way = in_place.Run(tier, repository, stages)
    manifest = sets.load(repository, under_way.chosen("newest"))
    work = Path(tempfile.gettempdir())
    jobs = {name: job for name, (_, job) in run.jobs(manifest, repository, stores=tier.stores, work=work, stages=stages).items()}
    results = under_way.restore(jobs, in_place.Order(stopped=True))
    assert not any(result.differences for result in results.values()), results


if __name__ == "__main__":
    main()
