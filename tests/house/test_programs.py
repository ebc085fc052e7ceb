"""Whatever starts a program asks for it; and what is installed is what is locked."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.drill.scratch import scratch
from tests.programs import EVERYWHERE, POSTGRES, PROGRAMS, SYSTEM_ZONES, needs, started, wheel

ROOT = Path(__file__).parents[2]
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if re.match("test_|conftest", path.name))


def calls(tree: ast.AST, *names: str) -> Iterator[ast.expr]:
    """What a module gives to calls of functions whose names end so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(names):
            yield from node.args


def commands(tree: ast.AST) -> Iterator[ast.expr]:
    """The first words of what runs, or looks like a command: a list whose second word is an option or unpacked."""
    for given in calls(tree, ".run", "Popen", "check_output", "check_call"):
        if isinstance(given, (ast.List, ast.Tuple)) and given.elts:
            yield given.elts[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.List) and len(node.elts) > 1:
            second = node.elts[1]
            option = isinstance(second, ast.Starred) or ast.unparse(second).startswith("'-")
            if option and isinstance(node.elts[0], ast.Constant) and node.elts[0].value in PROGRAMS:
                yield node.elts[0]
    yield from calls(tree, "shutil.which")


def texts(expressions: Iterator[ast.expr]) -> set[str]:
    return {one.value for one in expressions if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def unasked(text: str) -> set[str]:
    """The programs that a module of tests starts and does not ask for, as far as its text shows it."""
    tree = ast.parse(text)
    found = {
        "postgres" if word in POSTGRES else word for word in texts(commands(tree)) - EVERYWHERE if re.fullmatch("[a-z][a-z0-9_.-]+", word)
    }
    return found - texts(calls(tree, "needs"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_of_tests_asks_for_what_it_starts(path: Path) -> None:
    assert not unasked(path.read_text()), "tests.programs.needs asks for them"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('subprocess.Popen(["redis-server", *words])', {"redis-server"}),
        ('call = ["redis-cli", "-s", socket]', {"redis-cli"}),
        ('subprocess.run(("pg_dump", "-d", name))', {"postgres"}),
        ('shutil.which("promtool")', {"promtool"}),
        ('subprocess.run(["rm", path])', set()),
        ('subprocess.run(["jq", path])', {"jq"}),
        ('pytestmark = needs("redis-server")\nsubprocess.Popen(["redis-server"])', set()),
    ],
)
def test_the_check_sees_what_is_not_asked_for(text: str, found: set[str]) -> None:
    assert unasked(text) == found


@pytest.mark.parametrize(
    ("words", "asked", "found"),
    [
        (["redis-server", "x"], (), "redis-server"),
        (["redis-server", "x"], ("redis-server",), None),
        (["/usr/lib/postgresql/17/bin/initdb"], (), "initdb"),
        (["setpriv", "--reuid=65534", "/usr/lib/postgresql/17/bin/initdb"], (), "initdb"),
        (["/usr/lib/postgresql/17/bin/initdb"], ("postgres",), None),
        (["jq", "."], (), "jq, which tests/programs.py does not know"),
        (["rm", "x"], (), None),
        (["/a/folder/made/by/the/test/tool"], (), None),
    ],
)
def test_a_test_that_starts_what_it_did_not_ask_for_is_named(words: list[str], asked: tuple[str, ...], found: str | None) -> None:
    assert started(set(asked), words, None) == found


def test_every_version_is_locked_with_its_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)(?: ; .*)? \\\n    --hash=sha256:", lock, re.MULTILINE))
    assert len(locked) == len(re.findall("^[a-z]", lock, re.MULTILINE)), "each has a hash"
    for file in sorted(ROOT.glob("requirements*.txt")):
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s\\;]+)", file.read_text(), re.MULTILINE):
            if file.name != "requirements-installer.txt":
                assert locked.get(re.sub("[-_.]+", "-", name).lower()) == version, f"{file.name}: {name}. Fix: make lock"


@needs("postgres")
@pytest.mark.skipif(not Path(SYSTEM_ZONES, "UTC").exists(), reason="no time zones on this machine: PyPI's PostgreSQL has none of its own")
def test_pypis_postgresql_serves_where_debians_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{wheel()}:{os.environ['PATH']}")
    with scratch() as server, server.connect("postgres") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row
    assert row[0].startswith("17.10"), "the wheel's, not Debian's"
