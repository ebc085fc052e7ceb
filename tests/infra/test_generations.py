"""A store restored into a new place stands beside the old one, which goes by a change of its own."""

import copy
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import tiers
from infra.config.load import load, read_stack_file
from perene.engine.monitor import run_program
from perene.engine.program import Program

ROOT = Path(__file__).parents[2]
DATA = {"dev": "kubernetes:core/v1:PersistentVolumeClaim", "prod": "gcp:sql/databaseInstance:DatabaseInstance"}


def declared(stack: str, **change: Any) -> Program:
    value = copy.deepcopy(read_stack_file(ROOT / f"Pulumi.{stack}.yaml")[0])
    part = value["encryptionKey"] if "earlier" in change else value["stores"]["main"]
    part |= change
    tier = load(value, where=stack, stack=stack)
    return run_program(lambda: pulumi.export("tier", tiers.build(tier, stack)), project="perene", stack=stack, config={}, root=ROOT)


@pytest.mark.parametrize("stack", DATA)
def test_a_second_generation_removes_nothing_of_the_first(stack: str) -> None:
    first = declared(stack)
    second = declared(stack, generation=2, retired={"1": "2026-12-31"})
    after = {resource.urn: resource for resource in second.resources}
    kept = [
        resource for resource in first.resources if resource.custom and "named-by-content" not in str(resource.inputs.get("metadata", ""))
    ]
    lost = [resource.urn for resource in kept if resource.urn not in after]
    assert not lost, f"moving to generation 2 must delete nothing that holds data or opens it: {lost}"
    data = [resource for resource in kept if resource.type == DATA[stack]]
    assert data, "the stack must hold what this is about"
    for resource in data:
        now = after[resource.urn]
        assert (now.inputs, now.protect) == (resource.inputs, resource.protect), "the retired generation is left exactly as it was"


@pytest.mark.parametrize("stack", DATA)
def test_the_contract_names_the_live_generation_only(stack: str) -> None:
    tier = declared(stack, generation=2, retired={"1": "2026-12-31"}).outputs["tier"]
    assert tier["stores"]["main"]["generation"] == 2


@pytest.mark.parametrize("stack", DATA)
def test_a_second_key_takes_nothing_from_the_first(stack: str) -> None:
    first, second = declared(stack), declared(stack, generation=2, earlier={"1": "in-use"})
    after = {resource.urn: resource for resource in second.resources}
    shells = [resource for resource in first.resources if "secretmanager" in resource.type]
    assert all(after[shell.urn].inputs == shell.inputs for shell in shells)
    assert bool(shells) == (stack == "prod"), "in dev the key is a Kubernetes Secret, which the program does not own"
    key = second.outputs["tier"]["encryption_key"]
    assert (key["generation"], key["earlier"]["1"]["ref"]) == (2, first.outputs["tier"]["encryption_key"]["ref"])
    assert key["ref"]["name"].endswith("encryption-key-g2")
    assert first.outputs["tier"]["encryption_key"].keys() == {"kind", "ref", "sentinel", "generation"}, "no difference before a rotation"


def test_the_drill_sees_every_generation_and_the_backup_only_what_data_needs() -> None:
    def mounted(job: str) -> set[str]:
        program = declared("dev", generation=2, earlier={"1": "retired"})
        spec = next(one.inputs["spec"] for one in program.resources if one.inputs.get("metadata", {}).get("name") == f"perene-{job}")
        return {
            volume["secret"]["secretName"] for volume in spec["jobTemplate"]["spec"]["template"]["spec"]["volumes"] if "secret" in volume
        }

    assert {"perene-encryption-key", "perene-encryption-key-g2"} <= mounted("drill")
    assert "perene-sentinel-g2" in mounted("backup")
    assert "perene-sentinel" not in mounted("backup")
