"""The node's own control group in every hierarchy of the host: made before the kubelet starts, removed with the node."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def hierarchies(mounts: str | None = None) -> list[tuple[Path, str]]:
    """Mount points of control group hierarchies with their type (`cgroup` or `cgroup2`)."""
    text = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    rows = [line.split() for line in text.splitlines()]
    return [(Path(row[1]), row[2]) for row in rows if row[2] in {"cgroup", "cgroup2"}]


def make(name: str) -> None:
    """Create the group everywhere. A new cpuset (version 1) is empty and would accept no process."""
    for place, _ in hierarchies():
        group = place / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            own, parent = group / setting, place / setting
            if own.exists() and parent.exists() and not own.read_text().strip():
                own.write_text(parent.read_text())


def remove(name: str, *, seconds: float = 5) -> None:
    """Kill what is left in the group, then remove it bottom-up; the kernel needs a moment after the last process."""
    end = time.monotonic() + seconds
    for place, _ in hierarchies():
        while (place / name).exists():
            for folder, _, files in os.walk(place / name, topdown=False):
                if "cgroup.procs" in files:
                    _empty(Path(folder) / "cgroup.procs")
                with suppress(OSError):
                    Path(folder).rmdir()
            if time.monotonic() > end:
                break
            time.sleep(0.05)


def left(name: str) -> list[Path]:
    """Where the group still exists."""
    return [place / name for place, _ in hierarchies() if (place / name).exists()]


def _empty(processes: Path) -> None:
    with suppress(OSError):
        for word in processes.read_text().split():
            with suppress(ProcessLookupError):
                if int(word) > 0:
                    os.kill(int(word), signal.SIGKILL)
