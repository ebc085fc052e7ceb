"""Progress: bytes and rate on a terminal, one JSON line per finished stage otherwise; always on stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn


class Stages:
    """Reports the stages of a run. live: a bar with bytes and rate; else a line per stage with its seconds, bytes and result."""

    def __init__(self, stream: IO[str] | None = None, *, live: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() if live is None else live

    @contextmanager
    def stage(self, name: str, subject: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """One stage; call what it gives with the bytes done so far."""
        done = [0]
        begin = time.monotonic()
        result = "failed"
        try:
            if self._live:
                yield from self._bar(name, subject, total, done)
            else:
                yield lambda count: done.__setitem__(0, count)
            result = "done"
        finally:
            seconds = time.monotonic() - begin
            rate = round(done[0] / seconds) if done[0] and seconds else 0
            self.line(
                {"stage": name, "of": subject, "result": result, "seconds": round(seconds, 2), "bytes": done[0], "bytesPerSecond": rate}
            )

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

    def _bar(self, name: str, subject: str, total: int | None, done: list[int]) -> Iterator[Callable[[int], None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(file=self._stream)) as bar:
            task = bar.add_task(f"{name} {subject}", total=total)

            def progress(count: int) -> None:
                done[0] = count
                bar.update(task, completed=count)

            yield progress
