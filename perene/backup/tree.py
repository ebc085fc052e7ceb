"""A tree of files as a sorted listing with hashes, written as a stream so that memory does not grow with the tree.

Owners are left out: another place may map them. Names are bytes, written percent-encoded, so that no name is too odd.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote_from_bytes

CHUNK = 1 << 20
# What a restore in place has set aside within a volume is no part of the data.
SET_ASIDE = ".perene-restore"


@dataclass(frozen=True)
class Entry:
    """One entry. name: relative, percent-encoded; kind: `file`, `directory`, `link`, `fifo`, `socket`, `device`; state: times and size."""

    name: str
    kind: str
    mode: int
    size: int
    state: tuple[int, int, int]
    path: bytes

    def line(self, content: str) -> str:
        """The entry as a line of the listing. Times are those of files: a directory's changes with every restore into it."""
        modified = self.state[0] // 10**9 if self.kind == "file" else 0
        return f"{self.name} {self.kind} {self.mode:o} {self.size if self.kind == 'file' else 0} {modified} {content}\n"


_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def walk(root: Path) -> Iterator[Entry]:
    """Every entry below a directory, in an order that depends on the names only."""
    yield from _below(os.fsencode(root), b"")


def _below(root: bytes, inner: bytes) -> Iterator[Entry]:
    with os.scandir(root + b"/" + inner) as found:
        children = sorted((entry for entry in found if entry.name != SET_ASIDE.encode()), key=lambda entry: entry.name)
    for child in children:
        name = inner + b"/" + child.name if inner else child.name
        info = child.stat(follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(info.st_mode), "device")
        state = (info.st_mtime_ns, info.st_size, info.st_ctime_ns)
        yield Entry(quote_from_bytes(name), kind, stat.S_IMODE(info.st_mode), info.st_size, state, root + b"/" + name)
        if kind == "directory":
            yield from _below(root, name)


def content(entry: Entry) -> str:
    """SHA-256 of a file, the target of a link, `-` for anything else."""
    if entry.kind == "link":
        return quote_from_bytes(os.readlink(entry.path))  # noqa: PTH115 - names are bytes, which Path does not take
    if entry.kind != "file":
        return "-"
    digest = hashlib.sha256()
    with open(entry.path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Listing:
    """What was listed. entries, bytes of files, hash over the lines."""

    entries: int
    bytes: int
    hash: str


def write(root: Path, out: IO[str]) -> Listing:
    """List a tree into `out`."""
    digest, entries, size = hashlib.sha256(), 0, 0
    for entry in walk(root):
        line = entry.line(content(entry))
        digest.update(line.encode())
        out.write(line)
        entries += 1
        size += entry.size if entry.kind == "file" else 0
    return Listing(entries, size, digest.hexdigest())
