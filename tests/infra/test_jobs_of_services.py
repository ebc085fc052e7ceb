"""What the jobs of a tier with every kind of store are given: room for a copy of the largest Redis, and the cross-checks."""

import json
from pathlib import Path

import pulumi

from infra import tiers
from infra.config.load import load
from perene.contract.tier import TierDocument
from perene.engine.monitor import run_program
from tests.infra.config.test_cross_checks import written
from tests.infra.config.test_rejected import base

ROOT = Path(__file__).parents[2]


def test_jobs_have_room_for_a_copy_of_the_largest_redis() -> None:
    value = base("services-dev") | {"crossChecks": written()}
    value["stores"]["queue"] |= {"maxMemory": "2GiB", "resources": {"cpu": "1", "memory": "4GiB"}}
    tier = load(value, where="f", stack="direito-lux-dev")
    made = run_program(
        lambda: pulumi.export("tier", tiers.build(tier, "direito-lux-dev")), project="perene", stack="dev", config={}, root=ROOT
    )
    memory = {
        resource.inputs["metadata"]["name"]: pod["containers"][0]["resources"]["limits"]["memory"]
        for resource in made.resources
        if resource.type == "kubernetes:batch/v1:CronJob" and (pod := resource.inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    }
    # 2 GiB and a tenth, beside what each job needs for itself.
    assert {name: memory[name] for name in ("perene-backup", "perene-drill", "perene-retention")} == {
        "perene-backup": f"{512 + 2253}Mi",
        "perene-drill": f"{1024 + 2253}Mi",
        "perene-retention": "512Mi",
    }
    document = TierDocument.parse(json.dumps(made.outputs["tier"]), "f")
    assert {name: check.against.kind for name, check in document.cross_checks.items()} == {"vectors": "points", "media": "files"}
