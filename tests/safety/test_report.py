"""The verdict for people: worst first, then the loss budget with its last proven restore, then rights."""

import json
from datetime import UTC, datetime
from pathlib import Path

from perene.contract import schemas
from perene.contract.drill import DrillRecord
from perene.contract.verdict import Verdict
from perene.safety import drills, gate, reading, report
from tests.safety import recorded
from tests.safety.keys import make_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TIER = {
    "goals": {"rpo": "5m", "rto": "1h"},
    "stores": {"prod": {"kind": "cloud-sql", "generation": 1}},
    "guards": {"opened": [{"resource": "prod", "guard": "delete", "until": "2026-11-23", "reason": "move", "by": "rui"}]},
}


def verdict_on(name: str, proven: dict[str, str] | None = None, tier: object = TIER) -> Verdict:
    document = recorded.document(name)
    document["config"]["perene:tier"] = json.dumps(tier)
    return gate.judge(reading.parse_steps(json.dumps(document).encode(), name), now=NOW, proven=proven)


def test_worst_first_then_budget_then_rights() -> None:
    text = report.markdown(verdict_on("bucket-writer-widened.json", {"prod": "2026-11-24T03:00:00Z"}))
    order = [text.index(word) for word in ("WEAKENS", "Loss budget", "2026-11-24T03:00:00Z", "**Rights**", "roles/storage.admin")]
    assert order == sorted(order)
    assert text.startswith("<!-- perene gate prod -->"), "one comment is found by its marker and edited in place"


def test_a_store_without_a_proven_restore_is_called_unproven() -> None:
    assert "never: unproven" in report.terminal(verdict_on("label-added-prod.json"))


def test_an_opening_past_its_date_weakens_also_when_nothing_changes() -> None:
    verdict = verdict_on("no-change-prod.json")
    assert verdict.effect == "WEAKENS"
    assert not verdict.findings[0].waivable
    assert "2026-11-23" in verdict.findings[0].reasons[0]


def test_what_a_change_says_cannot_become_markup_or_a_mention() -> None:
    verdict = verdict_on("label-added-prod.json")
    evil = verdict.findings[0].model_copy(update={"effect": "WEAKENS", "reasons": ("<img src=x> @everyone | [x](y)\n### hi",)})
    text = report.markdown(verdict.model_copy(update={"findings": (evil,)}))
    row = next(line for line in text.splitlines() if "img" in line)
    assert all(raw not in row for raw in ("<img", "@everyone", "[x]", "### hi"))


def test_a_retired_generation_may_not_go_before_its_date_nor_with_its_successors_birth() -> None:
    def deletes(generation: int, retired: dict[str, str], live: int) -> bool:
        document = recorded.document("database-removed-staging.json")
        text = json.dumps(document).replace("staging-app", f"main-g{generation}-app")
        tier = {"stores": {"main": {"kind": "cloud-sql", "generation": live, "retired": retired}}}
        changed = json.loads(text)
        changed["config"]["perene:tier"] = json.dumps(tier)
        verdict = gate.judge(reading.parse_steps(json.dumps(changed).encode(), "x"), now=NOW)
        assert verdict.effect == "LOSES-DATA"
        return verdict.findings[0].waivable

    assert not deletes(1, {"1": "2026-12-24"}, live=2), "its date has not come"
    assert deletes(1, {"1": "2026-11-20"}, live=2), "its date is over: a waiver may let it go"


def test_only_signed_and_passed_drills_prove_anything(tmp_path: Path) -> None:
    key = make_key(tmp_path / "keys", "prod")
    example = DrillRecord.read(schemas.example("drill")).model_copy(update={"stack": "prod", "verdict": "passed"})

    def write(name: str, *, signed: bool = True, **changes: object) -> None:
        record = example.model_copy(update={"finished": name, **changes})
        (tmp_path / f"{name}.json").write_text((drills.signed(record, key) if signed else record).to_json())

    write("2026-11-20")
    write("2026-11-23", verdict="failed")
    write("2026-11-22", signed=False)
    write("2026-11-21", stack="staging")
    write("2026-11-24", source="pitr")
    (tmp_path / "2026-11-25.json").write_text((tmp_path / "2026-11-20.json").read_text().replace("2026-11-20", "2026-11-25"))
    (tmp_path / "torn.json").write_text("{")
    assert drills.proven_drills(tmp_path, "prod", tmp_path / "keys" / "prod.pub") == {"main": "2026-11-20"}
