"""Every configuration of rejected.yaml is refused, at the right place and with the right words, and never shows a value."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config.load import ConfigError, load, read_stack_file

ROOT = Path(__file__).parents[3]
CASES = yaml.safe_load((Path(__file__).parent / "rejected.yaml").read_text())


def base(stack: str) -> dict[str, Any]:
    """The tier of a stack file; `services-prod` is prod's with the stores of services.yaml."""
    name, _, environment = stack.rpartition("-")
    value, problems = read_stack_file(ROOT / f"Pulumi.{environment}.yaml")
    assert not problems
    tier: dict[str, Any] = copy.deepcopy(value)
    if name == "services":
        tier["stores"] |= yaml.safe_load((Path(__file__).parent / "services.yaml").read_text())
        if "images" in tier:
            tier["images"] |= dict.fromkeys(("redis", "qdrant", "rabbitmq"), tier["images"]["ops"])
            tier["stores"]["media"]["shared"] = True
            tier["stores"]["main"]["goals"] = tier["goals"]
            tier["goals"] = {"rpo": "24h", "rto": "4h"}
    return tier


def changed(case: dict[str, Any]) -> dict[str, Any]:
    tier = base(case["stack"])
    for path, value in case["change"].items():
        *parents, last = path.split(".")
        section = tier
        for part in parents:
            section = section.setdefault(part, {})
        if value is None:
            section.pop(last)
        else:
            section[last] = value
    return tier


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['stack']}: {case['change']}"[:100])
def test_it_is_refused_where_and_why(case: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        load(changed(case), where="Pulumi.x.yaml", stack=case["stack"])
    found = {(problem.where.removeprefix("Pulumi.x.yaml: "), problem.what) for problem in refused.value.problems}
    assert any(where == case["where"] and case["what"] in what for where, what in found), (
        f"expected {case['where']}: {case['what']}, got {found}"
    )
    assert all(problem.fix for problem in refused.value.problems), "every problem says how to fix it"


def test_there_are_at_least_140_and_no_two_are_the_same() -> None:
    keys = {(case["stack"], str(case["change"]), case["where"], case["what"]) for case in CASES}
    assert len(keys) == len(CASES) >= 140


def test_a_rejected_value_is_never_shown() -> None:
    tier = base("prod")
    tier["stores"]["main"]["rootPassword"] = "hunter2-hunter2"
    tier["owner"] = "sk-live-12345"
    with pytest.raises(ConfigError) as refused:
        load(tier, where="Pulumi.prod.yaml", stack="prod")
    assert not re.search("hunter2|sk-live", str(refused.value))


def test_all_problems_come_at_once_the_rules_of_sound_stores_included() -> None:
    tier = base("prod")
    tier["stores"]["second"] = copy.deepcopy(tier["stores"]["main"]) | {"machine": "db-n1-standard-2"}
    tier["stores"]["main"]["generation"] = "one"
    tier["stores"]["main"]["edition"] = "gold"
    with pytest.raises(ConfigError) as refused:
        load(tier, where="f", stack="prod")
    wheres = [problem.where for problem in refused.value.problems]
    assert wheres == ["f: stores.main.generation", "f: stores.main.edition", "f: stores.second.machine"]


def test_a_misspelt_key_is_answered_with_the_right_one() -> None:
    tier = base("dev")
    tier["stores"]["main"]["slowQuerry"] = "5s"
    with pytest.raises(ConfigError, match="did you mean slowQuery"):
        load(tier, where="f", stack="dev")


def test_the_stack_and_its_environment_must_agree() -> None:
    with pytest.raises(ConfigError, match="says dev, but the stack is direito-lux-prod"):
        load(base("dev"), where="f", stack="direito-lux-prod")


@pytest.mark.parametrize("stack", ["services-dev", "services-staging", "services-prod"])
def test_what_is_changed_to_be_rejected_is_accepted_as_it_stands(stack: str) -> None:
    assert {store.kind for store in load(base(stack), where="f", stack=stack).stores.values()} >= {"redis", "qdrant", "rabbitmq", "files"}
