"""A store of files back: its tree into a new directory, compared with the listing that the set holds."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from perene.backup import tree
from perene.contract.drill import CheckResult, Difference, StoreResult
from perene.contract.recovery_set import FilesContent
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare
from perene.restore.job import Job, Outcome, room_for


def beside(job: Job) -> StoreResult:
    """Into `DIRECTORY/STORE`, the directory being named with --to."""
    if job.directory is None:
        raise PereneError(f"{job.name} is files: name a directory with --to", exit_code=ExitCode.USAGE)
    return into(job.directory / job.name, job)


def scratch(job: Job) -> StoreResult:
    """Into a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=job.work) as folder:
        return into(Path(folder) / "tree", job)


def into(target: Path, job: Job) -> StoreResult:
    """A tree of files into a new directory. Files that changed while they were read are left out of the comparison."""
    content, repository = _content(job), job.repository
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PereneError(
            "the directory exists already and is not empty",
            where=str(target),
            why="a restore never writes over anything",
            fix="name another one with --to",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    room_for(content.bytes, target.parent)
    outcome = Outcome()
    trees = [one for one in repository.snapshots(set=job.set_id, store=job.name) if one.tags.get("part") == "tree"]
    if not trees:
        raise PereneError(f"the tree of {job.name} is not in the repository", where=repository.url, exit_code=ExitCode.CANNOT_TELL)
    with outcome.timed("restore"), job.stages.stage("restore", job.name, content.bytes):
        repository.fetch_tree(trees[-1], target)
    with outcome.timed("compare"), job.stages.stage("compare", job.name):
        outcome.differences += compared(target, job)
        for check in job.live.checks if job.kept.kind == "files" else ():
            found = sum(1 for path in target.glob(check.count) if path.is_file())
            outcome.checks.append(CheckResult(count=check.count, at_least=check.at_least, found=found))
        job.crossing.take_files(job.name, target)
    return outcome.result(content.bytes)


def compared(target: Path, job: Job) -> tuple[Difference, ...]:
    """What differs between a tree and what the set holds, by name."""
    content = _content(job)
    with tempfile.TemporaryFile("w+", encoding="ascii") as found:
        listing = tree.write(target, found)
        there = FilesContent(entries=listing.entries, bytes=listing.bytes, hash=listing.hash)
        differences = compare.files(content, there)
        if not differences:
            return ()
        found.seek(0)
        recorded = job.repository.read(job.snapshot(f"/{job.name}.listing")).decode()
        named = compare.listings(_entries(recorded.splitlines(), content.changed), _entries(found, content.changed))
        return named or (() if content.changed else differences)


def _content(job: Job) -> FilesContent:
    if not isinstance(job.kept.content, FilesContent):
        raise PereneError(f"{job.name} holds no files", exit_code=ExitCode.CANNOT_TELL)
    return job.kept.content


def _entries(lines: Iterable[str], changed: tuple[str, ...]) -> Mapping[str, str]:
    pairs = (line.rstrip("\n").split(" ", 1) for line in lines)
    return {name: rest for name, rest in pairs if name not in changed}
