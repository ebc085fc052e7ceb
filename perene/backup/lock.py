"""One writer at a time: a lock object beside the repository's own, made by a conditional write and kept alive by a counter.

No clock is compared: a lock is dead when its counter stood still while we watched it, or its process is gone on this very host.
"""

import io
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perene.backup.places import Exists, Place
from perene.backup.progress import Stages
from perene.errors import PereneError
from perene.exit_codes import ExitCode

NAME = "locks/perene-writer"
BEAT_SECONDS = 10.0


@contextmanager
def writer(place: Place, purpose: str, stages: Stages, *, beat: float = BEAT_SECONDS) -> Iterator[None]:
    """Hold the writer's lock. PereneError (exit 3) when another writer is alive; a dead one's lock is taken over and reported."""
    mine = {
        "purpose": purpose,
        "host": socket.gethostname(),
        "boot": _boot(),
        "process": os.getpid(),
        "start": _start(os.getpid()),
        "run": uuid.uuid4().hex,
    }
    for attempt in range(3):
        try:
            place.create(NAME, io.BytesIO(_text(mine, 0)))
            break
        except Exists:
            other = _read(place)
            if other is None:
                continue
            if attempt == 2 or not _dead(place, other, beat):
                raise PereneError(
                    f"another {other['purpose']} is writing to the repository",
                    where=f"{other['host']}, process {other['process']}",
                    why="two writers at once would prune what the other still needs",
                    fix="wait for it to end; the lock of a dead run is taken over by itself",
                    exit_code=ExitCode.CANNOT_TELL,
                ) from None
            stages.note(f"the lock of a dead {other['purpose']} on {other['host']} (process {other['process']}) was removed")
            place.delete(NAME)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(place, mine, ended, beat, stages), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        current = _read(place)
        if current and current["run"] == mine["run"]:
            place.delete(NAME)


def _keep(place: Place, mine: dict[str, Any], ended: threading.Event, beat: float, stages: Stages) -> None:
    """Count on until the end. A count that cannot be written is tried again at the next beat: a network has its moments."""
    count, told = 0, False
    while not ended.wait(beat):
        count += 1
        try:
            place.replace(NAME, _text(mine, count))
        except Exception as failure:  # noqa: BLE001 - whatever the place says, the run itself must not stop counting
            if not told:
                stages.note(f"the writer's lock cannot be kept alive: {failure}")
            told = True


def _dead(place: Place, other: dict[str, Any], beat: float) -> bool:
    if other["host"] == socket.gethostname() and other["boot"] == _boot():
        return _start(int(other["process"])) != str(other["start"])
    time.sleep(3.5 * beat)
    return _read(place) == other


def _read(place: Place) -> dict[str, Any] | None:
    data = place.read(NAME)
    found: dict[str, Any] | None = json.loads(data) if data else None
    return found


def _text(mine: dict[str, Any], count: int) -> bytes:
    return json.dumps({**mine, "beat": count}).encode()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start(process: int) -> str:
    """When a process began, in the kernel's own ticks; empty when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
