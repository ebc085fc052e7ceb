"""What a long run shows: the stage, its seconds, what is waited for, and in the end how long each took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from perene.errors import PereneError, Problem

# Without a terminal a line is printed when something changes, and again after this many seconds of silence.
SILENCE_SECONDS = 15.0


class Progress:
    """Lines on stderr and in a log. Safe to call from any thread."""

    def __init__(self, log: Path, stream: TextIO = sys.stderr) -> None:
        self.log, self.stream = log, stream
        self.timings: list[tuple[str, float]] = []
        self._name, self._began, self._doing, self._told = "", time.monotonic(), "", 0.0
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """One stage; a failure in it is told with its name and the log."""
        self._name, self._began, self._doing = name, time.monotonic(), ""
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beat.start()
        try:
            yield
        except PereneError as error:
            self.note(f"{name} failed:\n{error}")
            last = error.problems[-1]
            log = Problem(
                what=last.what, where=last.where, why=last.why, fix="\n       ".join(filter(None, (last.fix, f"log: {self.log}")))
            )
            raise PereneError(problems=[*error.problems[:-1], log], exit_code=error.exit_code) from error
        finally:
            stop.set()
            beat.join()
            self.timings.append((name, time.monotonic() - self._began))

    def say(self, doing: str) -> None:
        """What is being done or waited for now; the same twice is shown once."""
        with self._lock:
            if doing == self._doing:
                return
            self._doing = doing
        self._tell(doing)

    def local(self, stage: str, waiting: str) -> None:
        """The form in which `perene local` reports."""
        self.say(f"{stage}: {waiting}")

    def show(self, line: str) -> None:
        """A line for people that is no progress: a step, a decision."""
        print(line, file=self.stream, flush=True)
        self.note(line)

    def note(self, line: str) -> None:
        """A line for the log only."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(1.0):
            if time.monotonic() - self._told > SILENCE_SECONDS and self._doing:
                self._tell(f"still: {self._doing}")

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        self.show(f"[{self._name} {time.monotonic() - self._began:5.1f} s] {text}")
