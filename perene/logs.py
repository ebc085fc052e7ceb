"""Rotation of the log files that perene and what it starts write: nothing grows for ever, and the newest lines are always kept."""

import shutil
from pathlib import Path

LIMIT = 10 * 2**20
KEEP = 3


def rotate(path: Path, limit: int = LIMIT, keep: int = KEEP) -> bool:
    """Move a log's content to `NAME.1` (and that to `NAME.2`, ...) once it is larger than `limit` bytes; True when it was.

    The file itself stays and is emptied, so that a program which holds it open in append mode goes on writing to it. Lines written while
    it is copied may be lost; a restart would lose more.
    """
    if not path.is_file() or path.stat().st_size <= limit:
        return False
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copy2(path, path.with_name(f"{path.name}.1"))
    with path.open("r+b") as file:
        file.truncate(0)
    return True


def rotate_all(directory: Path, limit: int = LIMIT, keep: int = KEEP) -> list[str]:
    """Rotate every `*.log` of a directory; the names of those that were."""
    return [path.name for path in sorted(directory.glob("*.log")) if rotate(path, limit, keep)]
