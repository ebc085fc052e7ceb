"""Which indexes are built while rows are on their way, and with how many at a time."""

import threading
from collections.abc import Sequence

import pytest

from perene.backup import process
from perene.errors import PereneError
from perene.restore.indexes import SHARE, Indexes, by_table

# Two tables with the numbers of their definition and their rows, and what comes after all rows.
TABLES = [{"10", "110"}, {"20", "120"}]
AFTER = {
    "1; 2606 0 CONSTRAINT public a a_pkey me": {"10"},
    "2; 1259 0 INDEX public a_word me": {"10", "5"},
    "3; 1259 0 INDEX public b_word me": {"120"},
    "4; 2606 0 FK CONSTRAINT public b b_a_fkey me": {"10", "20", "1"},
    "5; 1259 0 INDEX public of_a_view me": {"30"},
    "6; 1259 0 INDEX public after_another me": {"20", "3"},
    "7; 1259 0 INDEX public of_both me": {"10", "20"},
    "8; 0 0 INDEX ATTACH public b_word me": {"20"},
    "9; 2620 0 TRIGGER public b on_change me": {"20"},
}


def test_an_index_belongs_to_the_only_table_that_it_needs() -> None:
    needs = {entry: frozenset(some) for entry, some in AFTER.items()}
    names = [[entry.split()[-2] for entry in some] for some in by_table(TABLES, list(AFTER), needs)]
    assert names == [["a_pkey"], ["b_word"]], "a_word needs what is restored last"


class Builder:
    """Notes what is built. Each build takes until it is let go."""

    def __init__(self, *, ends: int = 0) -> None:
        self.begun: list[list[str]] = []
        self.ends, self.failed, self.go = ends, threading.Event(), threading.Semaphore(0)

    def start(self, entries: Sequence[str]) -> process.Filtering:
        self.begun.append(list(entries))
        assert self.go.acquire(timeout=30)
        return process.filtering(["sh", "-c", f"exit {self.ends}"], what="building")


def test_what_comes_slowly_is_built_one_by_one_and_what_comes_fast_together() -> None:
    builder = Builder()
    with Indexes([["first"], [f"more {number}" for number in range(3 * SHARE)], []], builder.start, builder.failed.set) as indexes:
        indexes.loaded(0)
        while not builder.begun:
            pass
        indexes.loaded(1)
        builder.go.release(2)
        while len(builder.begun) < 3:
            pass
        left = indexes.left()
        builder.go.release(1)
        indexes.join()
    assert [len(some) for some in builder.begun] == [1, 3, 2]
    assert len(left) == 3 * SHARE - 5


def test_after_the_last_table_nothing_is_begun() -> None:
    builder = Builder()
    with Indexes([["a", "b"], ["c"]], builder.start, builder.failed.set) as indexes:
        indexes.loaded(1)
        while not builder.begun:
            pass
        indexes.loaded(0)
        builder.go.release(1)
        indexes.join()
        assert indexes.left() == ["a", "b"]
    assert builder.begun == [["c"]]


def test_a_failure_is_told_at_once_and_raised_to_who_joins() -> None:
    builder = Builder(ends=3)
    with Indexes([["a"], []], builder.start, builder.failed.set) as indexes:
        indexes.loaded(0)
        builder.go.release(1)
        assert builder.failed.wait(30)
        with pytest.raises(PereneError, match="building failed"):
            indexes.join()


def test_what_was_stopped_did_not_fail() -> None:
    running = threading.Event()

    def start(_: Sequence[str]) -> process.Filtering:
        running.set()
        return process.filtering(["sleep", "60"], what="building")

    builder = Builder()
    with Indexes([["a"], []], start, builder.failed.set) as indexes:
        indexes.loaded(0)
        assert running.wait(30)
        indexes.stop()
        indexes.join()
    assert not builder.failed.is_set()
