"""The entries of a dump: as pg_restore lists them, and as it is told which of them to restore."""

from collections.abc import Sequence
from pathlib import Path

from perene.backup import process

NEEDS = ";\tdepends on:"


def listed(dump: Path, *options: str, what: str) -> list[str]:
    """A line per entry; PereneError when the head of the dump is not whole."""
    return [line for line in _lines(dump, *options, what=what) if not line.startswith(";")]


def needs(dump: Path, *, what: str) -> dict[str, frozenset[str]]:
    """By entry the numbers of those that it needs. The number of an entry stands at its beginning."""
    found: dict[str, frozenset[str]] = {}
    entry = ""
    for line in _lines(dump, "--verbose", what=what):
        if line.startswith(NEEDS):
            found[entry] = frozenset(line.removeprefix(NEEDS).split())
        elif not line.startswith(";"):
            entry = line
            found[entry] = frozenset()
    return found


def _lines(dump: Path, *options: str, what: str) -> list[str]:
    """The list, with what is said about it and about its entries."""
    text = process.run(["pg_restore", "--list", *options, str(dump)], what=what)
    # Names are in the database's own encoding, and may hold what Python would take for the end of a line.
    return [line for line in text.decode(errors="surrogateescape").split("\n") if line]


def number(entry: str) -> str:
    """What others call an entry that they need."""
    return entry.partition(";")[0]


def only(dump: Path, name: str, entries: Sequence[str]) -> str:
    """The option that restores these entries, in this order. name: of the file beside the dump that holds them."""
    listing = Path(f"{dump}.{name}")
    listing.write_text("".join(f"{line}\n" for line in entries), encoding="utf-8", errors="surrogateescape")
    return f"--use-list={listing}"
