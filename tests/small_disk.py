"""A file system that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: int, *options: str) -> Iterator[None]:
    """Mounted at an empty directory while it is used. size: bytes; options: more of tmpfs. The test is skipped where nobody may mount."""
    if os.geteuid():
        pytest.skip("not root: a small file system is mounted")
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", *options)), "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
