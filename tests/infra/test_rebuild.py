"""What is rebuilt is in the contract as it was declared, and reads back as the document's own types."""

import copy
import json
from pathlib import Path

import pulumi

from infra import tiers
from infra.config.load import load, read_stack_file
from perene.contract.tier import CommandRebuild, FacesRebuild, TierDocument
from perene.engine.monitor import run_program

ROOT = Path(__file__).parents[2]
DECLARED = {
    "faces": {
        "kind": "rekognition",
        "region": "sa-east-1",
        "collection": "fleet-dev",
        "source": {"store": "main", "database": "direito_lux", "table": "public.photo", "id": "id", "bytes": "image"},
        "atLeast": 0.98,
    },
    "collections": {"kind": "command", "command": ["python", "setup.py"], "check": ["python", "check.py"], "limit": "10m"},
}


def test_the_contract_says_how_to_rebuild() -> None:
    value = copy.deepcopy(read_stack_file(ROOT / "Pulumi.dev.yaml")[0]) | {"rebuild": DECLARED}
    tier = load(value, where="dev", stack="dev")
    program = run_program(lambda: pulumi.export("tier", tiers.build(tier, "dev")), project="perene", stack="dev", config={}, root=ROOT)
    document = TierDocument.parse(json.dumps(program.outputs["tier"]), "tier")
    assert document.rebuild == {
        "faces": FacesRebuild(
            region="sa-east-1",
            collection="fleet-dev",
            store="main",
            database="direito_lux",
            table="public.photo",
            id="id",
            bytes="image",
            at_least=0.98,
        ),
        "collections": CommandRebuild(command=("python", "setup.py"), check=("python", "check.py"), limit="10m"),
    }
