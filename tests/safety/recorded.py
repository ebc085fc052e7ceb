"""The recordings as bytes, unpacked once."""

import functools
import json
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "recordings"


@functools.cache
def files() -> dict[str, bytes]:
    """File name -> content of every recording of the real engine."""
    with tarfile.open(HERE / "gcp.tar.xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]


@functools.cache
def index() -> tuple[dict[str, Any], ...]:
    """What really happened, one entry per recording."""
    return tuple(json.loads(files()["index.json"]))


def document(name: str) -> dict[str, Any]:
    """One recording as a fresh tree that a test may change."""
    return json.loads(files()[name])
