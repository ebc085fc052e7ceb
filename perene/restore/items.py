"""What stores that are counted by named things share: their parts as files, and their recorded content."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from perene.contract.recovery_set import ItemsContent
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore.job import Job, Outcome, room_for


@contextmanager
def fetched(job: Job, outcome: Outcome) -> Iterator[Mapping[str, Path]]:
    """Every part of a store as a file, by the part's name, until the block ends."""
    room_for(sum(part.bytes for part in job.kept.parts), job.work)
    with tempfile.TemporaryDirectory(dir=job.work, prefix="perene-restore-") as folder:
        files = {}
        for number, part in enumerate(job.kept.parts):
            files[part.name] = Path(folder) / f"part-{number}"
            with outcome.timed("fetch"), job.stages.stage("fetch", f"{job.name}/{part.name}", part.bytes) as progress:
                progress(job.repository.fetch(job.snapshot(part.path), files[part.name]))
        yield files


def content_of(job: Job) -> ItemsContent:
    """The recorded content. PereneError (exit 3) when it is of another kind."""
    if not isinstance(job.kept.content, ItemsContent):
        raise PereneError(f"the content of {job.name} is no list of named things", exit_code=ExitCode.CANNOT_TELL)
    return job.kept.content
