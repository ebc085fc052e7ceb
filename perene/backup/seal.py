"""The sealed copy: the newest proven set as one archive in a bucket where this identity may create and nothing else."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

from perene.backup import archive, sets
from perene.backup.places import Exists, Place, open_place
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import publish
from perene.contract.sealed import SealRecord
from perene.contract.tier import TierDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode

FOLDER, SUFFIX = "sets/", ".tar.zst.age"


def seal(tier: TierDocument, repository: Repository, *, stages: Stages) -> tuple[SealRecord, bool]:
    """Write the newest proven set once; its record, and whether it was written now.

    An object is there whole or not at all, so one that is there already is complete. PereneError (exit 3) without a proven set, a
    recipient, or a place.
    """
    address = sealed_place(tier)
    if tier.recipient is None:
        raise PereneError(
            "there is nobody to seal to",
            where=tier.stack,
            why="the tier document names no escrow recipient",
            fix=f"run `age-keygen` on an offline machine, commit the public line as keys/{tier.stack}.age.pub, and bring the tier up",
            exit_code=ExitCode.CANNOT_TELL,
        )
    proven = [one for one in sets.on_hand(repository.snapshots(), tier.proof_key) if one.proven and not one.reason]
    if not proven:
        raise PereneError(
            "no set is proven, so none is sealed",
            where=repository.url,
            why="what was never restored is no copy to rely on" if tier.proof_key else "the tier document has no public key of drills",
            fix="run `perene drill`",
            exit_code=ExitCode.CANNOT_TELL,
        )
    manifest = sets.load(repository, proven[-1].id)
    known = open_place(repository.url).read(f"evidence/sealed/{manifest.id}.json")
    if known:
        return SealRecord.parse(known, f"evidence/sealed/{manifest.id}.json"), False
    name, started = f"{FOLDER}{manifest.id}{SUFFIX}", datetime.now(UTC)
    written: int | None = None
    try:
        with stages.stage("seal", manifest.id) as progress, archive.written(repository, manifest, [tier.recipient], stages) as stream:
            counted = _Counted(stream)
            open_place(address).create(name, io.BufferedReader(counted, 1 << 20))
            written = counted.count
            progress(written)
    except Exists:
        stages.note(f"{name} is there already: an earlier run wrote it and could not record it")
    record = SealRecord(
        stack=tier.stack,
        set=manifest.id,
        place=address,
        name=name,
        recipient=tier.recipient,
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        bytes=written,
    )
    publish(repository, "sealed", manifest.id, record)
    return record, written is not None


def sealed_place(tier: TierDocument) -> str:
    """Where the tier's sealed copies lie. PereneError (exit 3) when it has none."""
    if tier.repository is None or tier.repository.sealed_copy is None:
        raise PereneError(f"{tier.stack} has no sealed copy", fix="declare backups.sealedCopy", exit_code=ExitCode.CANNOT_TELL)
    return tier.repository.sealed_copy


def newest(place: Place, wanted: str, address: str) -> str:
    """The object of a set, or of the newest one (`newest`). PereneError (exit 3) when there is none."""
    names = [name for name in place.names(FOLDER) if name.endswith(SUFFIX) and wanted in {"newest", _set_of(name)}]
    if not names:
        raise PereneError(f"no sealed copy of {wanted}", where=address, fix="run `perene repo seal`", exit_code=ExitCode.CANNOT_TELL)
    return names[-1]


@contextmanager
def reading(place: Place, name: str) -> Iterator[IO[bytes]]:
    """An object as a stream; nothing of it is kept."""
    inner, outer = os.pipe()
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            with os.fdopen(outer, "wb") as out:
                place.fetch(name, out)
        except BrokenPipeError:
            pass
        except BaseException as failure:  # noqa: BLE001 - it is raised again in the caller's thread
            failures.append(failure)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        with os.fdopen(inner, "rb") as stream:
            yield stream
    finally:
        thread.join()
        if failures:
            # What went wrong at the source, not the short stream that it left.
            raise failures[0]


def _set_of(name: str) -> str:
    return name.removeprefix(FOLDER).removesuffix(SUFFIX)


class _Counted(io.RawIOBase):
    """A stream that counts what was read of it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.count = source, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        chunk = self._source.read(view.nbytes)
        view[: len(chunk)] = chunk
        self.count += len(chunk)
        return len(chunk)
