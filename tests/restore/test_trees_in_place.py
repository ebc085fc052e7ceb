"""A tree in the place of another: stopped before any of its renames, the old entries are there or the new, and a rerun finishes."""

from pathlib import Path

import pytest

from perene.contract.tier import Goals, Store, StoreBackup, Volume
from perene.restore import trees_in_place
from perene.restore.job import Target
from perene.restore.trees_in_place import Tree

OLD, NEW = {"a": "old", "b": "old", "c": "old"}, {"a": "new", "b": "new", "d": "new"}


class Stopped(BaseException):
    """The process is gone."""


def put(folder: Path, entries: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in entries.items():
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()} if folder.exists() else {}


@pytest.fixture(params=["sibling", "sibling on a file system that cannot exchange", "root of a volume", "lost"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    root, inside = tmp_path / "uploads", request.param == "root of a volume"
    if request.param != "lost":
        put(root, OLD)
    if "cannot" in request.param:
        monkeypatch.setattr(trees_in_place, "_exchange", lambda *_: False)
    aside = (root if inside else tmp_path) / ".perene-restore"
    store = Store(
        kind="files",
        generation=1,
        version="",
        volume=Volume(claim="c", size="1GiB", storage_class="s", mount_path=str(root)),
        backup=StoreBackup(ways=("logical",)),
        goals=Goals(rpo="1d", rto="1h"),
        guarded=False,
    )
    put(aside / "new", NEW)
    made = Tree(Target(name="uploads", live=store, set_id="one", parts=("tree",)), root, aside, inside)
    made._write({})
    return made


def stopped_before(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The process dies before its rename number `count`."""
    left = [count]
    rename, exchange = Path.rename, trees_in_place._exchange

    def counted() -> None:
        if left[0] == 0:
            raise Stopped
        left[0] -= 1

    def one(self: Path, target: Path) -> Path:
        counted()
        return rename(self, target)

    def two(first: Path, second: Path) -> bool:
        counted()
        return exchange(first, second)

    monkeypatch.setattr(Path, "rename", one)
    monkeypatch.setattr(trees_in_place, "_exchange", two)


@pytest.mark.parametrize("count", range(12))
def test_stopped_anywhere_it_is_old_or_new_and_a_rerun_finishes(tree: Tree, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    had = read(tree.root)
    one_step = not tree.inside and trees_in_place._exchange.__name__ == "_exchange"
    for step, before, after in ((tree.exchange, had, NEW), (tree.back, NEW, had or NEW)):
        with monkeypatch.context() as patch:
            stopped_before(patch, count)
            try:
                step()
            except Stopped:
                there = read(tree.root)
                assert there.items() <= before.items() or there.items() <= after.items(), "never a mixture"
                if one_step:
                    assert there in (before, after)
        step()
        assert read(tree.root) == after
        step()
        assert read(tree.root) == after, "once more changes nothing"
    tree.finish()
    assert (read(tree.root), tree.aside.exists()) == (had or NEW, False)


def test_giving_up_in_the_middle_of_an_exchange_goes_back(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    had = read(tree.root)
    with monkeypatch.context() as patch:
        stopped_before(patch, 1 if had else 0)
        with pytest.raises(Stopped):
            tree.exchange()
    tree.back()
    assert read(tree.root) == (had or NEW)
