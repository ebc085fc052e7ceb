"""A store of files in the place of the live tree: restored into a directory of ours on the same volume, then exchanged.

`.perene-restore/` holds `new`, `old` and `state.json`. It lies beside the tree, and the two are exchanged by one rename; where the tree is
the root of a volume, which cannot be renamed, it lies inside, and the entries are moved: all old ones out, then all new ones in.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perene.backup.tree import SET_ASIDE
from perene.contract.drill import StoreResult
from perene.contract.recovery_set import FilesContent, StoreSet
from perene.contract.tier import Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import write_private
from perene.restore import trees
from perene.restore.job import Job, Outcome, Target, room_for

RENAME_EXCHANGE = 2  # renameat2(2), Linux 3.15
AT_FDCWD = -100
NOT_OURS = frozenset({SET_ASIDE, "lost+found"})


@contextlib.contextmanager
def open_store(target: Target) -> Iterator["Tree"]:
    """The tree where this computer or job mounts it."""
    if target.live.volume is None:
        raise PereneError("the store has no volume", where=target.name, exit_code=ExitCode.CANNOT_TELL)
    root = Path(target.live.volume.mount_path)
    whole = os.path.ismount(root) or not os.access(root.parent, os.W_OK)
    yield Tree(target, root, root / SET_ASIDE if whole else root.parent / f"{SET_ASIDE}-{root.name}", whole)


@dataclass(frozen=True)
class Tree:
    """See `perene.restore.job.InPlace`. root: the live tree; aside: our directory; inside: it lies within the tree."""

    target: Target
    root: Path
    aside: Path
    inside: bool

    def look(self, kept: StoreSet) -> Store | None:
        """Refuses what is left of another restore, and a volume without room for a second tree."""
        state = self._state()
        strange = not state and any((self.aside / name).exists() for name in ("new", "old"))
        if strange or state.get("set", self.target.set_id) != self.target.set_id:
            raise PereneError(
                f"{self.aside} is there, and not of this restore",
                where=self.target.name,
                why="a restore needs the name, and never writes over anything",
                fix="finish the other restore, or move the directory away yourself",
                exit_code=ExitCode.CANNOT_TELL,
            )
        if not (self.aside / "new").exists() and isinstance(kept.content, FilesContent):
            room_for(kept.content.bytes, self.root if self.inside else self.root.parent)
        return self.target.live if self.root.is_dir() and self._entries(self.root) else None

    def prepare(self, job: Job) -> StoreResult:
        """Into `new`; a whole tree of an earlier run is only compared."""
        new, outcome = self.aside / "new", Outcome()
        if new.exists():
            with outcome.timed("compare"), job.stages.stage("compare", job.name):
                outcome.differences += trees.compared(new, job)
            return outcome.result(sum(part.bytes for part in job.kept.parts))
        self._write({})
        # A new name for each attempt: restic may outlive a run that was killed, and go on writing into its own.
        for left in self.aside.glob("copy-*"):
            shutil.rmtree(left, ignore_errors=True)
        copy = self.aside / f"copy-{uuid.uuid4().hex[:8]}"
        result = trees.into(copy, job)
        if self.root.is_dir():
            shutil.copystat(self.root, copy)
            with contextlib.suppress(PermissionError):
                os.chown(copy, self.root.stat().st_uid, self.root.stat().st_gid)
        copy.replace(new)
        return result

    def in_use(self) -> list[str]:
        """A volume does not say who uses it."""
        return []

    def exchange(self) -> None:
        """One rename, or two passes over the entries."""
        self._swap(self.aside / "new", self.aside / "old", "forward")

    def back(self) -> None:
        """What was written since the exchange stays in `new`. Where nothing was live before, what was restored stays live."""
        state = self._state()
        if "forward" in state and "back" not in state:
            self.exchange()
        if "back" in state or (self.aside / "old").exists():
            self._swap(self.aside / "old", self.aside / "new", "back")

    def finish(self) -> None:
        """Remove our directory with what is set aside in it."""
        if self.aside.exists():
            shutil.rmtree(self.aside)

    def _swap(self, source: Path, kept: Path, way: str) -> None:
        """What is in `source` becomes live, what is live goes to `kept`. The state says beforehand how a rerun tells what is done."""
        state = self._state()
        if way not in state:
            state = self._write({way: "out" if self.inside else source.stat().st_ino if source.exists() else 0})
        if self.inside:
            if state[way] == "out":
                kept.mkdir(exist_ok=True)
                self._move(self.root, kept)
                state = self._write({way: "in"})
            if source.exists():
                self._move(source, self.root)
                shutil.rmtree(source)
            return
        if source.exists() and not (self.root.exists() and self.root.stat().st_ino == state[way]):
            if self.root.exists() and not _exchange(source, self.root):
                self.root.rename(kept)
            if not self.root.exists():
                source.rename(self.root)
        # After an exchange what was live has the name `source`.
        if source.exists():
            source.rename(kept)

    def _move(self, source: Path, to: Path) -> None:
        for name in self._entries(source):
            (source / name).rename(to / name)

    def _entries(self, folder: Path) -> list[str]:
        return sorted(set(os.listdir(folder)) - NOT_OURS)  # noqa: PTH208 - names only

    def _state(self) -> dict[str, object]:
        try:
            return dict(json.loads((self.aside / "state.json").read_text()))
        except FileNotFoundError:
            return {}

    def _write(self, changes: dict[str, object]) -> dict[str, object]:
        state = {"set": self.target.set_id, **self._state(), **changes}
        write_private(self.aside / "state.json", json.dumps(state))
        return state


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS}:
        return False
    raise OSError(code, os.strerror(code), str(other))
