"""The files driver: a tree into the repository with its listing; files that change meanwhile are reported by name."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from perene.backup import process, tree
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import FilesContent, Part, StoreSet
from perene.errors import PereneError
from perene.exit_codes import ExitCode

NAMED = 1000


def backup(root: Path, *, repository: Repository, set_id: str, store: str, stages: Stages) -> StoreSet:
    """List and hash the tree, store it, and list again: what differs was written while it was read."""
    if not root.is_dir():
        raise PereneError("the tree is not there", where=str(root), fix="see that the job mounts the store's volume")
    _refuse_live_server(root)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="ascii") as before, tempfile.TemporaryFile("w+", encoding="ascii") as after:
        with stages.stage("fingerprint", store) as progress:
            listing = tree.write(root, before)
            progress(listing.bytes)
        middle = time.monotonic()
        with stages.stage("copy", store) as progress:
            snapshot = repository.backup_tree(root, tags={"set": set_id, "store": store, "part": "tree"}, progress=progress)
        stored = time.monotonic()
        tree.write(root, after)
        before.seek(0)
        after.seek(0)
        changed = _differing(before, after)
        before.seek(0)
        path = f"/{store}.listing"
        listed = repository.backup_bytes(before.read().encode(), path=path, tags={"set": set_id, "store": store, "part": "listing"})
    warnings = tuple(f"{name} was written while it was read: it may be torn" for name in changed[:NAMED])
    if len(changed) > NAMED:
        warnings = (*warnings, f"{len(changed) - NAMED} more were written while they were read")
    return StoreSet(
        kind="files",
        version="",
        tool=process.version("restic"),
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        position="",
        parts=(Part(name="tree", path="/", bytes=max(snapshot.size, listing.bytes)), Part(name="listing", path=path, bytes=listed.size)),
        content=FilesContent(entries=listing.entries, bytes=listing.bytes, hash=listing.hash, changed=changed[:NAMED]),
        seconds={"fingerprint": round(middle - begin, 3), "copy": round(stored - middle, 3)},
        warnings=warnings,
    )


def _refuse_live_server(root: Path) -> None:
    """A copy of a running PostgreSQL's directory looks like a backup and opens as a damaged database, if at all."""
    for folder in (root, *root.glob("*/"), *root.glob("*/*/")):
        if (folder / "PG_VERSION").is_file() and (folder / "postmaster.pid").exists():
            raise PereneError(
                "this is the directory of a running PostgreSQL",
                where=str(folder),
                why="its files change while they are copied, each at another moment: the copy is torn",
                fix="declare a store of kind postgres, which is dumped in one snapshot and compared when it is restored",
                exit_code=ExitCode.CANNOT_TELL,
            )


def _differing(before: IO[str], after: IO[str]) -> tuple[str, ...]:
    """Names whose lines are in one listing only. Memory grows with the differences, not with the tree."""
    first, second = set[str](), set[str]()
    for old, new in zip(before, after, strict=False):
        if old != new:
            first.add(old)
            second.add(new)
    first |= set(before)
    second |= set(after)
    return tuple(sorted({line.split(" ", 1)[0] for line in first ^ second}))
