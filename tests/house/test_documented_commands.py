"""Every perene and make command that a page names exists, with its options: at three in the morning nobody guesses."""

import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from perene.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
# What the other tools of these pages offer, as far as it is used here.
OTHERS = {
    "pulumi": {"up", "preview", "destroy", "stack", "login", "state", "refresh", "import", "cancel", "config"},
    "kubectl": {"get", "create", "run", "exec", "delete", "apply", "describe", "logs", "scale", "rollout", "cp", "port-forward", "config",
                "wait", "patch", "annotate", "top"},
    "gcloud": {"services", "storage", "kms", "resource-manager", "iam", "sql", "projects", "auth", "secrets", "logging"},
}  # fmt: skip


def spoken(page: Path) -> Iterator[str]:
    """Commands in fenced blocks and in backticks; a comment or a pipe ends one."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.DOTALL):
        yield from (line.strip() for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return command.split()


def simple(command: str) -> Iterator[list[str]]:
    """The single commands of a line, without what is piped or follows."""
    one: list[str] = []
    for word in [*words(command), ";"]:
        if word in {"|", "&&", ";", "||"} or word.endswith(";"):
            yield one if word in {"|", "&&", ";", "||"} else [*one, word.rstrip(";")]
            one = []
        else:
            one.append(word)


def command_of(name: str) -> Any:
    return typer.main.get_command(importlib.import_module(COMMANDS[name][0]).app)


def faults(given: list[str]) -> Iterator[str]:
    """What is wrong with one perene command; words in capitals and in brackets stand for something."""
    if not given or not re.fullmatch(r"[a-z][a-z-]*(\|[a-z|-]+)?", given[0]):
        return
    if given[0] not in COMMANDS:
        yield f"no command {given[0]}"
        return
    found = command_of(given[0])
    rest = given[1:]
    while hasattr(found, "commands") and rest and re.fullmatch(r"[a-z][a-z|-]*", rest[0]):
        names = rest[0].split("|")
        missing = [name for name in names if name not in found.commands]
        if missing:
            yield f"{given[0]} has no {', '.join(missing)}"
            return
        found, rest = found.commands[names[0]], rest[1:]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for word in rest:
        if word == "--":
            return
        option = word.strip("[]").split("=")[0]
        if option.startswith("-") and option != "-" and option not in known:
            yield f"{' '.join(given[: len(given) - len(rest)])} has no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_type_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for line in spoken(page):
        for command in simple(line):
            match command:
                case ["perene", *given]:
                    wrong += [f"{line}: {fault}" for fault in faults(given)]
                case ["make", target, *_] if re.fullmatch(r"[a-z][a-z0-9-]*", target) and target not in targets:
                    wrong.append(f"{line}: no target {target}")
                case [("pulumi" | "kubectl" | "gcloud") as tool, *given]:
                    spaces = {after for before, after in itertools.pairwise(given) if before in {"-n", "--context", "--namespace"}}
                    verb = next((word for word in given if re.fullmatch(r"[a-z][a-z-]+", word) and word not in spaces), None)
                    if verb and verb not in OTHERS[tool]:
                        wrong.append(f"{line}: {tool} has no {verb}")
    assert not wrong, "\n".join(wrong)


def test_a_command_that_does_not_exist_is_found() -> None:
    for text in ("bakcup", "migrate aply", "restore SET --in-plaze", "local up --nothing"):
        assert list(faults(text.split())), text
    for text in ("migrate status -e dev=FILE", "local status [--json]", "plan|apply", "maintain STACK -- anything --x"):
        assert not list(faults(text.split())) or "|" in text, text
