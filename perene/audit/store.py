"""Where audit lines live: an object store that can create and read, nothing else."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from perene.errors import PereneError
from perene.exit_codes import ExitCode


class AlreadyExistsError(Exception):
    """The object is there already; it was not touched."""


class ObjectStore(Protocol):
    """Create-only objects. An implementation never overwrites and never deletes."""

    def names(self, prefix: str) -> list[str]:
        """Names of the objects below a prefix, sorted. An unreadable store raises PereneError: it is never an empty list."""

    def read(self, name: str) -> bytes:
        """The content of an object; PereneError when it cannot be read."""

    def create(self, name: str, content: bytes) -> None:
        """Write a new object whole or not at all; AlreadyExistsError when the name is taken."""


class DirectoryStore:
    """Objects as read-only files of a directory; complete before they are visible, also after a power cut."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, prefix: str) -> list[str]:
        """Names below a prefix, sorted."""
        if not self.root.is_dir():
            raise PereneError(
                "the audit directory is not there",
                where=str(self.root),
                why="an unreadable audit is not an empty one",
                fix="mount the repository, or give the right path",
                exit_code=ExitCode.CANNOT_TELL,
            )
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file() and path.suffix != ".part")
        return sorted(name for name in found if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        """The content of an object."""
        try:
            return (self.root / name).read_bytes()
        except OSError as unreadable:
            raise PereneError(f"cannot read it: {unreadable.strerror}", where=name, exit_code=ExitCode.CANNOT_TELL) from None

    def create(self, name: str, content: bytes) -> None:
        """Write a temporary file, then link it to its name: linking fails when the name exists."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o440)
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise AlreadyExistsError(name) from None
            directory = os.open(path.parent, os.O_RDONLY)
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, directory)
                os.fsync(directory)
        finally:
            Path(temporary).unlink()
