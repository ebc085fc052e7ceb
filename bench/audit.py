"""`perene audit verify` against sha256sum over the same files: what it costs to look at every line of a long record."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import Row
from perene.audit.chain import Chain, heads, verify
from perene.audit.store import open_store

# Three writers for a year and a half of days with two lines each.
WRITERS, LINES = ("perene-backup", "perene-drill", "operator"), 1000
ROUNDS = 3


def run() -> list[Row]:
    """One row: the whole record verified, against its files hashed by the plain tool."""
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(directory)
        for writer in WRITERS:
            _write(directory, writer)
        anchors = heads(store)
        files = [str(path) for path in Path(directory, "audit").rglob("*.json")]
        verified = _best(lambda: _whole(verify(store, anchors)))
        hashed = _best(lambda: subprocess.run(["sha256sum", *files], check=True, stdout=subprocess.DEVNULL))
    what = f"perene audit verify, {len(files)} lines of {len(WRITERS)} writers"
    return [Row(what=what, against="sha256sum of the same files", measured=verified, plain=hashed, unit="s", promised=10)]


def _write(directory: str, writer: str) -> None:
    """A chain, appended without asking for its head each time: the bench is about reading."""
    chain = Chain(open_store(directory), writer)
    head = chain.head()
    chain.head = lambda: head  # type: ignore[method-assign]
    for number in range(LINES):
        line = chain.append("backup", stack="s-dev", subject=f"set {number}", result="done")
        head = head.model_copy(update={"sequence": line.sequence, "hash": line.hash})


def _whole(findings: list[object]) -> None:
    assert not findings, findings  # noqa: S101


def _best(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)
