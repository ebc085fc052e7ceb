"""Cross-checks between stores: what does not fit is named, on both sides, and a comparison that would notice nothing is named too."""

from pathlib import Path

import pytest

from perene.contract.cross_check import CrossCheck, Paths, Points, Rows
from perene.contract.drill import StoreResult
from perene.restore import crosscheck
from perene.restore.crosscheck import AGAINST, ROWS, Crossing

PHOTO = Rows(store="main", database="shop", table="public.photo", column="path")
CLEAN = StoreResult(differences=(), checks=(), seconds={}, bytes=0)


def crossed(tmp_path: Path, rows: list[str], things: list[str], *, orphans: int = 0) -> StoreResult:
    crossing = Crossing({"photos": CrossCheck(rows=PHOTO, against=Paths(store="media"), orphans=orphans)}, tmp_path)
    crossing.keep("photos", ROWS, rows)
    crossing.keep("photos", AGAINST, things)
    return crossing.results({"main": CLEAN, "media": CLEAN}, all_=True)["main"]


ODD = ["a b", "ü/é", "line\nbreak", "100%", "A", "a", "", "z" * 3000, "10", "9"]


@pytest.mark.parametrize(
    ("rows", "things", "orphans", "named"),
    [
        (["a", "b"], ["b", "a"], 0, []),
        (ODD, list(reversed(ODD)), 0, []),
        (["a", "a", "a"], ["a"], 0, []),
        ([], [], 0, []),
        (["a", "b"], ["b"], 0, ["photos: a: expected a file of media, found a row of public.photo only"]),
        (["b"], ["a", "b"], 0, ["photos: a: expected a row of public.photo", "photos: expected at most 0 that no row names, found 1"]),
        (["b"], ["a", "b"], 1, []),
        (["b"], ["a", "b", "c"], 1, ["photos: a", "photos: c", "at most 1 that no row names, found 2"]),
        ([], ["x"], 0, ["photos: x: expected a row"]),
        (["x"], [], 0, ["photos: x: expected a file of media"]),
    ],
)
def test_what_does_not_fit_is_named(rows: list[str], things: list[str], orphans: int, named: list[str], tmp_path: Path) -> None:
    result = crossed(tmp_path, rows, things, orphans=orphans)
    found = list(map(str, result.differences))
    assert bool(found) == bool(named), found
    assert all(any(words in line for line in found) for words in named), found
    assert result.checks[0].found == len(set(rows) & set(things))


def test_many_are_counted_and_twenty_named(tmp_path: Path) -> None:
    result = crossed(tmp_path, [f"r{number}" for number in range(100)], [])
    assert len(result.differences) == 21
    assert "80 more are missing" in str(result.differences[-1])


@pytest.mark.parametrize("rows", [["a", "b"], []])
def test_a_comparison_that_notices_nothing_fails_the_check(rows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crosscheck, "_unmatched", lambda *_: iter(()))
    assert "a planted orphan on each side is noticed" in str(crossed(tmp_path, rows, rows).differences[0])


def test_a_check_that_was_not_made_fails_a_drill_and_no_restore_of_another_store(tmp_path: Path) -> None:
    checks = {"vectors": CrossCheck(rows=PHOTO, against=Points(store="vectors", collection="photos"))}
    crossing = Crossing(checks, tmp_path)
    assert crossing.results({"main": CLEAN}, all_=False)["main"] == CLEAN
    assert "one side did not come back" in str(crossing.results({"main": CLEAN}, all_=True)["main"].differences[0])
    crossing.keep("vectors", ROWS, ["1"])
    crossing.take_live({})
    assert crossing.results({"main": CLEAN}, all_=False)["main"].differences, "one side alone is no check"


def test_files_are_read_below_a_directory(tmp_path: Path) -> None:
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / "deep" / "ä 1.jpg").write_text("x")
    (tmp_path / "other").write_text("x")
    (tmp_path / "sides").mkdir()
    crossing = Crossing({"photos": CrossCheck(rows=PHOTO, against=Paths(store="media", below="media"))}, tmp_path / "sides")
    crossing.take_files("media", tmp_path)
    crossing.take_files("unrelated", tmp_path)
    crossing.keep("photos", ROWS, ["deep/ä 1.jpg"])
    assert crossing.results({"main": CLEAN}, all_=True)["main"].differences == ()
