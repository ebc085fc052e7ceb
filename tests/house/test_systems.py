"""docs/systems.md: every id of the five systems has its line, and what a line names exists."""

import importlib
import re
from pathlib import Path

import pytest
import typer

from perene.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
IDS = [f"{letter}{number}" for letter, last in (("V", 13), ("O", 8), ("Q", 8), ("F", 7), ("D", 16)) for number in range(1, last + 1)]
TRAPS = {"V12", "O8", "F7"}
ROW = re.compile(r"\| ([A-Z]\d+) \| (.+?) \| (.+?) \| (.+?) \|(.*)\|")


def rows(text: str) -> list[tuple[str, str, str, str, str]]:
    """id, asked for, met by, shown by, open."""
    found = [ROW.fullmatch(line) for line in text.splitlines() if re.match(r"\| [A-Z]\d+ ", line)]
    assert all(found), "a row has five columns"
    return [(row[1], row[2], row[3], row[4], row[5].strip()) for row in found if row]


def faults(text: str) -> list[str]:
    """Everything in the backquotes of a row that is not there."""
    return [f"{row[0]}: {fault}" for row in rows(text) for word in re.findall(r"`([^`]+)`", row[2] + row[3]) if (fault := _fault(word))]


def _fault(word: str) -> str:
    if word.startswith("perene "):
        return _command_fault(word.split()[1:])
    file, _, test = word.partition("::")
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)*\.(py|md|sh|sql|yaml)", file):
        if not (ROOT / file).is_file():
            return f"{file} is not there"
        if test and f"def {test}(" not in (ROOT / file).read_text():
            return f"{file} has no test {test}"
    elif "/" in word:
        return f"{word} is neither a file nor a command"
    return ""


def _command_fault(words: list[str]) -> str:
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    app: typer.Typer = importlib.import_module(COMMANDS[words[0]][0]).app
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    alone = len(app.registered_commands) == 1
    return "" if alone or len(words) == 1 or words[1] in names or words[1].startswith("-") else f"{words[0]} has no {words[1]}"


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docs/systems.md").read_text()


def test_every_id_has_its_line_and_says_what_is_asked(text: str) -> None:
    assert [row[0] for row in rows(text)] == IDS
    assert all(len(row[1]) > 20 and row[2] and row[3] for row in rows(text))
    assert {row[0] for row in rows(text) if "**trap" in row[1]} == TRAPS


def test_what_a_line_names_exists(text: str) -> None:
    assert not faults(text), "\n".join(faults(text))


def test_every_line_names_a_test(text: str) -> None:
    without = [row[0] for row in rows(text) if not re.search(r"`tests/[\w/.]+", row[3])]
    assert not without


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("`perene nothing`", "no command nothing"),
        ("`perene key burn`", "key has no burn"),
        ("`tests/nowhere/test_x.py`", "is not there"),
        ("`tests/house/test_systems.py::test_that_is_not_there`", "has no test"),
        ("`examples/olt`", "neither a file nor a command"),
    ],
)
def test_a_line_that_names_what_is_not_there_is_found(named: str, fault: str) -> None:
    found = faults(f"| V1 | something that is asked for | {named} | `tests/house/test_systems.py` | |")
    assert len(found) == 1
    assert fault in found[0]
