"""Where audit lines live: a directory, an S3 or a GCS bucket, of which only two things are ever asked: create, and read."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from perene.backup.places import Exists, Place, existing
from perene.errors import PereneError
from perene.exit_codes import ExitCode


class AlreadyExistsError(Exception):
    """The object is there already; it was not touched."""


class Store:
    """Create-only objects in a place: never overwritten, never deleted. where: its address, for errors."""

    def __init__(self, place: Place, where: str) -> None:
        self._place, self.where = place, where

    def names(self, prefix: str) -> list[str]:
        """Names of the objects below a prefix, sorted. An unreadable store raises PereneError: it is never an empty list."""
        with self._reached(prefix):
            return self._place.names(prefix)

    def read(self, name: str) -> bytes:
        """The content of an object; PereneError when it cannot be read."""
        with self._reached(name):
            content = self._place.read(name)
        if content is None:
            raise PereneError("it is not there", where=f"{self.where} {name}", exit_code=ExitCode.CANNOT_TELL)
        return content

    def create(self, name: str, content: bytes) -> None:
        """Write a new object whole or not at all; AlreadyExistsError when the name is taken, by the service's own judgement."""
        with self._reached(name):
            try:
                self._place.create(name, io.BytesIO(content))
            except Exists:
                raise AlreadyExistsError(name) from None

    @contextmanager
    def _reached(self, name: str) -> Iterator[None]:
        try:
            yield
        except (PereneError, AlreadyExistsError):
            raise
        except Exception as failed:  # noqa: BLE001 - each cloud's client has errors of its own, and every one means the same here
            raise PereneError(
                f"the audit cannot be reached: {failed}",
                where=f"{self.where} {name}",
                why="an operation that touches data must not go on unseen",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None


def open_store(url: str) -> Store:
    """The audit beside a repository (restic's form of its address) or in a directory. PereneError where a directory is not there."""
    return Store(existing(url), url)
