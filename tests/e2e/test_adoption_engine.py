"""An existing instance, its database, a bucket and the key's secret are taken into prod by the real engine, on the double: it ends in a
preview without an operation, and a declaration weaker than what runs is stopped."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from perene.exit_codes import ExitCode
from perene.safety import gate
from perene.safety.reading import parse_steps
from tests.doubles.google import serve
from tests.engine.test_adoption import ADOPT, ROOT, Cloud, declared
from tests.engine_cli import Engine
from tests.programs import needs

pytestmark = [pytest.mark.e2e, needs("pulumi", "pulumi-resource-gcp", "pulumi-resource-kubernetes")]


def configuration() -> str:
    """prod's stack file with everything adopted that can be."""
    document = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text(encoding="utf-8"))
    for path, change in ADOPT.items():
        place = document["config"]["perene:tier"]
        for part in path.split("."):
            place = place[part]
        place |= change
    return yaml.safe_dump(document, sort_keys=False)


def test_what_exists_becomes_the_tiers_own_and_then_there_is_nothing_to_do(tmp_path: Path) -> None:
    with serve() as (google, address):
        Cloud(google, address).make(declared())
        engine = Engine(tmp_path, "prod", address, configuration())
        code, document, text = engine.preview("--show-replacement-steps")
        assert code == 0, text
        ops = Counter(step["op"] for step in document["steps"])
        assert ops["import"] == 4, ops
        assert set(ops) == {"import", "create", "update"}, "labels, and what only the provider knows, are written by an update"
        verdict = gate.judge(parse_steps(json.dumps(document).encode(), "preview"))
        assert verdict.exit_code is ExitCode.DONE, verdict.findings
        made = engine.up()
        assert made.returncode == 0, made.stdout
        assert not [call for call in google.mutations if call.startswith("DELETE")], "nothing that existed was made anew"
        code, document, text = engine.preview()
        assert code == 0, text
        assert [step["urn"] for step in document["steps"] if step["op"] != "same"] == []


def test_a_declaration_weaker_than_what_runs_is_stopped_by_the_gate(tmp_path: Path) -> None:
    with serve() as (google, address):
        cloud = Cloud(google, address)
        cloud.make(declared())
        cloud.settings["backupConfiguration"]["transactionLogRetentionDays"] = 35
        engine = Engine(tmp_path, "prod", address, configuration())
        code, document, text = engine.preview("--show-replacement-steps")
        assert code == 0, text
        verdict = gate.judge(parse_steps(json.dumps(document).encode(), "preview"))
        assert verdict.exit_code is ExitCode.LOSES_DATA, verdict.findings
        assert "transactionLogRetentionDays" in str(verdict.findings[0].reasons)
        assert google.mutations == []
