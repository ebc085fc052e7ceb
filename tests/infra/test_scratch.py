"""A drill has room for the largest store twice, on a volume that goes with its pod or within a cap on the node's disk."""

import copy
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import tiers
from infra.config.load import load, read_stack_file
from perene.engine.monitor import run_program

ROOT = Path(__file__).parents[2]
OWN = {"size": "300GB", "storageClass": "premium-rwo"}


def scratch_of(stack: str, scratch: dict[str, str] | None) -> Any:
    value = copy.deepcopy(read_stack_file(ROOT / f"Pulumi.{stack}.yaml")[0])
    value["backups"]["drill"] |= {"scratch": scratch} if scratch else {}
    tier = load(value, where=stack, stack=stack)
    program = run_program(lambda: pulumi.export("tier", tiers.build(tier, stack)), project="perene", stack=stack, config={}, root=ROOT)
    (job,) = [one.inputs for one in program.resources if one.name == "perene-drill" and one.type.endswith("CronJob")]
    volumes = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    return next(volume for volume in volumes if volume["name"] == "scratch")


@pytest.mark.parametrize(("stack", "cap"), [("dev", "50Gi"), ("prod", "196Gi")])
def test_without_a_volume_the_cap_follows_the_largest_store(stack: str, cap: str) -> None:
    assert scratch_of(stack, None)["emptyDir"] == {"sizeLimit": cap}


def test_a_volume_of_its_own_is_claimed_for_each_drill() -> None:
    claim = scratch_of("prod", OWN)["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "premium-rwo"
    assert claim["resources"]["requests"] == {"storage": "300G"}
