"""One recovery set as one encrypted file: age over zstd over tar, so that `age -d | zstd -d | tar x` opens it without perene.

Members, in this order: `manifest.json`; per part `parts/N/about.json` and its content in pieces `parts/N/00000000`, ... (a tree of files is
a tar of its own); `index.json` with a SHA-256 per part, last. Written and read as a stream: memory does not grow with the set.
"""

import hashlib
import io
import itertools
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from perene.backup import lock, process, proofs, sealing, sets
from perene.backup.places import open_place
from perene.backup.progress import Stages
from perene.backup.repository import CHUNK, Repository, Snapshot
from perene.backup.run import MANIFEST, publish, write_manifest
from perene.contract.recovery_set import RecoverySet
from perene.errors import PereneError
from perene.exit_codes import ExitCode

VERSION = 1
TREE = "tree"
# A manifest names every table of every database; a piece is never larger than this either.
LARGEST = 256 << 20


@dataclass
class Found:
    """What an archive holds. abouts and digests: per part, in order; index: as the archive says itself."""

    manifest: RecoverySet | None = None
    abouts: list[dict[str, str]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    index: dict[str, Any] = field(default_factory=dict)

    def checked(self) -> RecoverySet:
        """The manifest of a whole archive; PereneError (exit 6) when something is missing or differs."""
        if self.manifest is None or self.index != _index(self.manifest.id, self.digests):
            raise _damaged("it is not whole: what it holds is not what its index says")
        held = {(about["store"], about["path"] if about["form"] == "file" else "/") for about in self.abouts}
        kept = self.manifest.stores | ({"canary": self.manifest.canary} if self.manifest.canary else {})
        missing = [f"{name}{part.path}" for name, store in kept.items() for part in store.parts if (name, part.path) not in held]
        if missing:
            raise _damaged(f"it has no {', '.join(missing)}")
        return self.manifest


@contextmanager
def written(repository: Repository, manifest: RecoverySet, recipients: Sequence[str], stages: Stages) -> Iterator[IO[bytes]]:
    """A set as a stream of an encrypted archive. recipients: `age1...`. Reading it to its end fails when any step failed."""
    parts = [one for one in repository.snapshots(set=manifest.id) if one.path != MANIFEST and one.tags.get("part") != proofs.RECORD]
    # The listing of a tree before the tree: it carries the times that restic's tar rounds.
    parts.sort(key=lambda one: one.tags.get("part") == TREE)
    with sealing.sealed(lambda out: _write(out, repository, manifest, parts, stages), recipients) as stream:
        yield stream


def verify(source: IO[bytes], identity: Path) -> RecoverySet:
    """Read an archive to its end and return its manifest. PereneError (exit 6) when it does not open, is truncated or altered."""
    found = Found()
    for _, pieces in _parts(source, identity, found):
        for _ in pieces:
            pass
    return found.checked()


def bring(source: IO[bytes], identity: Path, repository: Repository, *, work: Path, stages: Stages, imported: str) -> RecoverySet:
    """An archive into a repository as a set: its manifest last, so that one that breaks off leaves no set.

    imported: when, as a tag of the manifest; work: room for its largest tree of files.
    """
    found = Found()
    for about, pieces in _parts(source, identity, found):
        if found.manifest is None:
            raise _damaged("its manifest does not come first")
        tags = {"set": found.manifest.id, "store": about["store"], "part": about["part"]}
        with stages.stage("import", f"{about['store']}/{about['part']}"):
            if about["form"] == TREE:
                with tempfile.TemporaryDirectory(dir=work, prefix="perene-import-") as folder:
                    _unpack(pieces, Path(folder))
                    listing = repository.find(f"/{about['store']}.listing", set=found.manifest.id, store=about["store"])
                    _times(Path(folder), repository.read(listing).decode())
                    repository.backup_tree(Path(folder), tags=tags)
            else:
                repository.backup_chunks(pieces, path=about["path"], tags=tags)
    manifest = found.checked()
    write_manifest(manifest, repository, {"imported": imported})
    return manifest


def import_file(file: Path, identity: Path, repository: Repository, *, work: Path, stages: Stages, now: str) -> RecoverySet:
    """Verify a whole archive, and only then put it into the repository. PereneError (exit 3) when the set is there already."""
    with stages.stage("verify", file.name, file.stat().st_size), file.open("rb") as source:
        manifest = verify(source, identity)
    with lock.writer(open_place(repository.url), "import", stages):
        if manifest.id in {one.id for one in sets.on_hand(repository.snapshots())}:
            raise PereneError(f"{manifest.id} is in the repository already", where=repository.url, exit_code=ExitCode.CANNOT_TELL)
        with file.open("rb") as source:
            brought = bring(source, identity, repository, work=work, stages=stages, imported=now)
        publish(repository, "sets", brought.id, brought)
    return brought


def _write(out: IO[bytes], repository: Repository, manifest: RecoverySet, parts: Sequence[Snapshot], stages: Stages) -> None:
    digests = []
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
        _add(tar, "manifest.json", manifest.to_json().encode())
        for number, part in enumerate(parts):
            store, name = part.tags.get("store", ""), part.tags.get("part", "")
            about = {"store": store, "part": name, "path": part.path, "form": TREE if name == TREE else "file"}
            _add(tar, f"parts/{number}/about.json", json.dumps(about).encode())
            digest, done = hashlib.sha256(), 0
            with stages.stage("export", f"{store}/{name}", part.size or None) as progress:
                for piece, content in enumerate(repository.stream(part, tree=name == TREE)):
                    _add(tar, f"parts/{number}/{piece:08d}", content)
                    digest.update(content)
                    done += len(content)
                    progress(done)
            digests.append(digest.hexdigest())
        _add(tar, "index.json", json.dumps(_index(manifest.id, digests)).encode())


def _index(set_id: str, digests: Sequence[str]) -> dict[str, Any]:
    return {"document": "archive", "version": VERSION, "set": set_id, "sha256": list(digests)}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
    tar.members.clear()  # type: ignore[attr-defined]  # a list of everything written so far, which would grow with the set


def _parts(source: IO[bytes], identity: Path, found: Found) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
    """Each part of an archive with its pieces, which are read before the next part; `found` is filled on the way."""
    with sealing.opened(source, identity) as stream:
        try:
            for top, members in itertools.groupby(_members(stream), key=lambda one: tuple(one[0].split("/")[:2])):
                if top[0] == "parts":
                    yield from _part(members, found)
                    continue
                for name, content in members:
                    if name == "manifest.json":
                        found.manifest = RecoverySet.parse(content, "the archive's manifest")
                    elif name == "index.json":
                        found.index = json.loads(content)
        except (tarfile.TarError, EOFError, ValueError, KeyError) as broken:
            # What stands behind it is the better reason, and the end tells it: a wrong identity, a truncated file.
            while stream.read(CHUNK):
                pass
            raise _damaged(str(broken)) from None
        while stream.read(CHUNK):
            pass


def _part(members: Iterable[tuple[str, bytes]], found: Found) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
    pieces = iter(members)
    about = json.loads(next(pieces)[1])
    digest = hashlib.sha256()

    def told() -> Iterator[bytes]:
        for _, content in pieces:
            digest.update(content)
            yield content

    yield {key: str(about[key]) for key in ("store", "part", "path", "form")}, told()
    found.abouts.append(about)
    found.digests.append(digest.hexdigest())


def _members(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as tar:
        while info := tar.next():
            content = tar.extractfile(info) if info.isreg() and info.size <= LARGEST else None
            if content is None:
                raise _damaged(f"it has a member that no archive has: {info.name[:100]!r}")
            yield info.name, content.read()
            tar.members.clear()  # type: ignore[attr-defined]  # as above


def _unpack(pieces: Iterator[bytes], folder: Path) -> None:
    words = ["tar", "--extract", "--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*", f"--directory={folder}"]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=errors, env=process.environment())
        with child:
            for piece in pieces:
                if child.stdin:
                    child.stdin.write(piece)
        if child.returncode:
            errors.seek(0)
            raise process.failed("unpacking a tree of files", "tar", child.returncode, errors.read())


def _times(folder: Path, listing: str) -> None:
    """When each file was changed, to the second: restic's tar rounds to the nearest one."""
    for line in listing.splitlines():
        name, kind, _, _, modified, _ = line.split(" ")
        path = os.path.join(os.fsencode(folder), unquote_to_bytes(name))  # noqa: PTH118 - names are bytes, which Path does not take
        inside = b".." not in unquote_to_bytes(name).split(b"/") and not name.startswith(("/", "%2F"))
        if kind == "file" and inside and os.path.lexists(path):
            os.utime(path, (int(modified), int(modified)), follow_symlinks=False)


def _damaged(why: str) -> PereneError:
    return PereneError(
        "the archive is damaged",
        why=why,
        fix="nothing was made of it: fetch it again, or take another copy",
        exit_code=ExitCode.NOT_PROVEN,
    )
