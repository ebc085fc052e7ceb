"""Progress: bytes and rate on a terminal, one JSON line per finished stage otherwise; always on stderr."""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

# Where nobody watches a terminal, a long stage that counts things says how far it is after as many seconds.
EVERY = 15.0


class Stages:
    """Reports the stages of a run. live: a bar with bytes and rate; else a line per stage with its seconds, bytes and result."""

    def __init__(self, stream: IO[str] | None = None, *, live: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() if live is None else live

    @contextmanager
    def stage(self, name: str, subject: str, total: int | None = None, *, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
        """One stage; call what it gives with the bytes (or other units) done so far."""
        done = [0]
        begin = time.monotonic()
        result = "failed"
        try:
            if self._live:
                yield from self._bar(name, subject, total, done, unit)
            elif unit == "bytes":
                yield lambda count: done.__setitem__(0, count)
            else:
                yield self._counter(name, subject, total, done, unit)
            result = "done"
        finally:
            seconds = time.monotonic() - begin
            rate = round(done[0] / seconds) if done[0] and seconds else 0
            told = {unit: done[0], f"{unit}PerSecond": rate}
            self.line({"stage": name, "of": subject, "result": result, "seconds": round(seconds, 2), **told})

    def beside(self) -> "Stages":
        """For stages that run at the same time: without a bar of their own."""
        return Stages(io.StringIO(), live=False) if self._live else self

    def line(self, message: dict[str, Any]) -> None:
        """One line of JSON where nobody watches a terminal."""
        if not self._live:
            print(json.dumps(message), file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """Something that a person should know and that does not fail the run."""
        if self._live:
            Console(file=self._stream).print(text, markup=False)
        else:
            self.line({"note": text})

    def _counter(self, name: str, subject: str, total: int | None, done: list[int], unit: str) -> Callable[[int], None]:
        begin = told = time.monotonic()

        def progress(count: int) -> None:
            nonlocal told
            done[0] = count
            now = time.monotonic()
            if total and count and now - told >= EVERY:
                told = now
                remaining = round((now - begin) / count * (total - count))
                self.line({"stage": name, "of": subject, unit: count, "total": total, "secondsRemaining": remaining})

        return progress

    def _bar(self, name: str, subject: str, total: int | None, done: list[int], unit: str) -> Iterator[Callable[[int], None]]:
        amounts = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(), TimeRemainingColumn())
        columns = (TextColumn("{task.description}"), BarColumn(), *amounts, TimeElapsedColumn())
        with Progress(*columns, console=Console(file=self._stream)) as bar:
            task = bar.add_task(f"{name} {subject}", total=total)

            def progress(count: int) -> None:
                done[0] = count
                bar.update(task, completed=count)

            yield progress
