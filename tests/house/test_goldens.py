"""What every stack declares is under review: a URN or a promise that changes, changes a golden file."""

import difflib

import pytest
import yaml

from perene.engine import inventory
from tests.house.stacks import ROOT, program

WATCHED = inventory.watched(ROOT)


def again(stack: str) -> str:
    return f"If this is meant, write the goldens anew and have them reviewed: python -m perene.engine.inventory {stack}"


@pytest.mark.parametrize("stack", WATCHED)
def test_urns_are_the_golden_ones(stack: str) -> None:
    path, _ = inventory.paths(ROOT, stack)
    golden = path.read_text() if path.is_file() else ""
    declared = inventory.urn_list(program(stack))
    changed = "\n".join(difflib.unified_diff(golden.splitlines(), declared.splitlines(), str(path.name), "declared", lineterm="", n=0))
    assert golden == declared, f"a URN that changes is a resource that is deleted and made anew\n{changed}\n{again(stack)}"


@pytest.mark.parametrize("stack", WATCHED)
def test_promises_are_the_golden_ones(stack: str) -> None:
    _, path = inventory.paths(ROOT, stack)
    assert path.is_file(), f"{path.name} is missing. {again(stack)}"
    changed = inventory.differences(yaml.safe_load(path.read_text()), program(stack))
    assert not changed, "\n".join(["a promise changed:", *changed, again(stack)])


def test_there_is_no_golden_without_a_stack() -> None:
    stems = {path.stem for path in (ROOT / inventory.DIRECTORY).iterdir() if path.suffix in {".urns", ".yaml"}}
    assert stems <= set(WATCHED), f"goldens of stacks that do not exist: {stems - set(WATCHED)}"
