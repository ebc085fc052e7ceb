"""Where single objects lie beside or instead of a repository: a directory, an S3 bucket, a GCS bucket, through one small interface.

Used for what restic cannot say: the writer's lock, the sealed copy (create-only), and bringing back what was deleted.
"""

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

from perene.errors import PereneError
from perene.exit_codes import ExitCode


class Exists(Exception):  # noqa: N818 - it is an answer, not an error
    """An object of that name is there already."""


class Place(Protocol):
    """A flat set of objects by name."""

    def create(self, name: str, source: IO[bytes]) -> None:
        """Write a new object; Exists when there is one. Nothing is ever written over."""

    def replace(self, name: str, data: bytes) -> None:
        """Write an object, over an older one too."""

    def read(self, name: str) -> bytes | None:
        """A small object; None when there is none."""

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def names(self, prefix: str) -> list[str]:
        """Names that begin with `prefix`, sorted."""

    def fetch(self, name: str, target: IO[bytes]) -> None:
        """An object into an open file."""

    def promises(self) -> tuple[int, int]:
        """Days for which it brings back what was deleted, and days of a lock that nobody can take off (0: none)."""

    def rewind(self, to: datetime) -> list[str]:
        """Bring the place back to what it held at a time; the names that were brought back."""


class Directory:
    """Objects as files below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str, source: IO[bytes]) -> None:
        """Written beside and linked into place, so that a half object never has the name; there for good once this returns."""
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".")
        beside = Path(temporary)
        try:
            with os.fdopen(handle, "wb") as out:
                while chunk := source.read(1 << 20):
                    out.write(chunk)
                out.flush()
                os.fchmod(out.fileno(), 0o440)
                os.fsync(out.fileno())
            os.link(beside, target)
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            raise Exists(name) from None
        finally:
            beside.unlink(missing_ok=True)

    def replace(self, name: str, data: bytes) -> None:
        """Written beside and renamed. A directory that is gone (a lost mount) is not made again: it would hide what comes back."""
        if not self._root.is_dir():
            raise FileNotFoundError(self._root)
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(target)

    def read(self, name: str) -> bytes | None:
        """The file's content."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Unlink."""
        (self._root / name).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """Files below, hidden ones (half written) left out."""
        # Only below the directory that the prefix names: a repository holds many thousand files.
        below = self._root / prefix.rpartition("/")[0]
        files = (path for path in below.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(name for path in files if (name := path.relative_to(self._root).as_posix()).startswith(prefix))

    def fetch(self, name: str, target: IO[bytes]) -> None:
        """Copy the file."""
        with (self._root / name).open("rb") as source:
            while chunk := source.read(1 << 20):
                target.write(chunk)

    def promises(self) -> tuple[int, int]:
        """A file system promises nothing."""
        return 0, 0

    def rewind(self, to: datetime) -> list[str]:
        """A volume keeps nothing that was deleted."""
        raise PereneError(
            f"a volume cannot be brought back to {to.isoformat()}",
            where=str(self._root),
            why="a file system keeps nothing of what was deleted",
            fix="use a snapshot of the volume, or the sealed copy (`perene drill --from sealed` shows what it holds)",
            exit_code=ExitCode.CANNOT_TELL,
        )


def open_place(url: str) -> Place:
    """A place by restic's form of its address: a path, `s3:https://host/bucket/prefix` or `gs:bucket:/prefix`."""
    if url.startswith("s3:"):
        from perene.backup.s3 import S3  # noqa: PLC0415 - boto3 takes half a second to import

        endpoint, _, rest = url.removeprefix("s3:").rpartition("://")[2].partition("/")
        scheme = "http" if url.startswith("s3:http://") else "https"
        bucket, _, prefix = rest.partition("/")
        return S3(endpoint=f"{scheme}://{endpoint}", bucket=bucket, prefix=prefix)
    if url.startswith("gs:"):
        from perene.backup.gcs import Gcs  # noqa: PLC0415 - as above

        bucket, _, prefix = url.removeprefix("gs:").partition(":/")
        return Gcs(bucket=bucket, prefix=prefix.strip("/"))
    return Directory(Path(url.removeprefix("local:")))


def existing(url: str) -> Place:
    """A place that is there. PereneError (exit 3) for a directory that is not: an unreadable place is not an empty one."""
    place = open_place(url)
    if isinstance(place, Directory) and not Path(url.removeprefix("local:")).is_dir():
        raise PereneError("it is not there", where=url, fix="mount the repository, or give the right path", exit_code=ExitCode.CANNOT_TELL)
    return place
