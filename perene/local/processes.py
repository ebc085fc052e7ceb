"""Which process is ours: a process id alone may have been given to somebody else since."""

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
MARK = "PERENE_LOCAL_NODE"  # in the environment of a node's processes: the instance they belong to


@dataclass(frozen=True)
class Process:
    """A process by id, start (clock ticks since boot) and boot, which together never repeat."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int, proc: Path = PROC) -> "Process":
        """The process that has this id now. FileNotFoundError or ProcessLookupError when there is none."""
        # The command name (field 2) may hold spaces and brackets, so count from its closing bracket.
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        if fields[0] in {"Z", "X"}:
            raise ProcessLookupError(f"{pid} is dead")
        return cls(pid, int(fields[19]), (proc / "sys/kernel/random/boot_id").read_text().strip())

    def alive(self, proc: Path = PROC) -> bool:
        """Whether this very process still runs."""
        try:
            return Process.of(self.pid, proc) == self
        except (FileNotFoundError, ProcessLookupError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still this process."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def dump(self) -> str:
        """The text that `load` reads."""
        return json.dumps(asdict(self))


def load(path: Path) -> Process | None:
    """The recorded process, or None when nothing (or something unreadable, after a crash) is recorded."""
    try:
        return Process(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def marked(instance: str, proc: Path = PROC) -> list[Process]:
    """Running processes that carry the instance's mark in their environment; strays of a killed `up` are found by it."""
    wanted, found = f"{MARK}={instance}".encode(), []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(Process.of(int(entry.name), proc))
    return found


def children(pid: int) -> list[int]:
    """Ids of the direct children."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(word) for word in (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    return []
