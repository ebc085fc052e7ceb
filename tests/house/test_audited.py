"""Every command that changes data or a guard is recorded in the audit: one that is new is recorded, or says here why it need not be."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import typer

from perene.cli.main import COMMANDS

LOOKS = "it looks and tells"
OWN = "it writes a file that the caller names, and nothing else"
# command: why it is not recorded
UNRECORDED = {
    "engine": "it builds programs in the checkout's own folder",
    "alerts list": LOOKS,
    "alerts check": LOOKS,
    "alerts rules": LOOKS,
    "alerts runbooks": OWN,
    "audit verify": LOOKS,
    "audit show": LOOKS,
    "audit head": LOOKS,
    "health": LOOKS,
    "report": OWN,
    "doctor": OWN,
    "exporter": LOOKS,
    "plan": LOOKS,
    "adopt": LOOKS,
    "repo list": LOOKS,
    "repo show": LOOKS,
    "repo check": LOOKS,
    "retention simulate": LOOKS,
    "render": OWN,
    "promote": "it decides; an emergency is a line of its own, and refused without one (tests/safety/test_promotion.py)",
    "evidence": OWN,
    "drift": LOOKS,
    "gate": LOOKS,
    "migrate plan": LOOKS,
    "migrate rehearse": "it changes a copy that was made for it",
    "migrate status": LOOKS,
    "migrate export": OWN,
    "secrets check": LOOKS,
    "checklist": LOOKS,
    "down": "it stops the local cluster in order; every volume stays (the backup before it is recorded)",
    "key check": LOOKS,
    "local up": "it makes or starts; nothing is there to be lost",
    "local status": LOOKS,
    "local logs": LOOKS,
    "local stop": "it stops the local cluster in order; every volume stays",
    "local load": "it loads an image",
}


def commands() -> dict[str, Callable[..., Any]]:
    """`repo init` -> its function, for every command of the tool."""
    found: dict[str, Callable[..., Any]] = {}
    for name, (module, _) in COMMANDS.items():
        app: typer.Typer = importlib.import_module(module).app
        assert not app.registered_groups, f"{name}: teach this test about groups of groups"
        alone = len(app.registered_commands) == 1 and app.registered_callback is None
        for command in app.registered_commands:
            assert command.callback
            found[name if alone else f"{name} {command.name or command.callback.__name__}"] = command.callback
    return found


def recorded(function: Callable[..., Any]) -> bool:
    """Whether the function works inside `with record(...)`."""
    return "record(" in inspect.getsource(function) or "_recorded(" in inspect.getsource(function)


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_is_recorded_or_says_why_not(name: str) -> None:
    if recorded(commands()[name]):
        assert name not in UNRECORDED, f"perene {name} is recorded by now: take it from the list"
    else:
        assert name in UNRECORDED, (
            f"perene {name} is new. Does it change data or a guard? Then put its work into "
            "`with record(OPERATION, tier, subject=...) as found:` (perene/audit/operation.py); else say here why it need not be recorded."
        )


def test_the_list_names_no_command_that_is_gone() -> None:
    assert set(UNRECORDED) <= set(commands()), set(UNRECORDED) - set(commands())
