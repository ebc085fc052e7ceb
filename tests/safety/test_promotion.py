"""Promotion: every demand alone stops it, and the decision says why."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perene.contract.approval import ChangeApproval, StackEvidence
from perene.contract.migration import AppliedMigration, LedgerExport, MigrationApproval, RehearsalRecord
from perene.contract.promotion import BreakGlass, Checklist, PromotionRules
from perene.errors import PereneError
from perene.migrate.scripts import digest, load
from perene.migrate.status import compare
from perene.safety import promotion_evidence, signing
from perene.safety.promotion import Evidence, Schema, decide
from tests.safety.keys import make_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
COMMIT = "c" * 40


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


def stack(name: str, **changes: Any) -> StackEvidence:
    fields = {
        "stack": name,
        "at": ago(minutes=5),
        "commit": COMMIT if name == "staging" else "b" * 40,
        "since": ago(hours=30),
        "stores": ("main",),
        "drills": {"main": ago(hours=9)},
        "drift": 0,
        "alerts": (),
    }
    return StackEvidence(**(fields | changes))


def approval(**changes: Any) -> ChangeApproval:
    fields = {
        "stack": "prod",
        "commit": COMMIT,
        "author": "rui",
        "configuration": "",
        "providers": {},
        "state": "",
        "steps": "",
        "effect": "DISRUPTIVE",
        "approver": "ana",
        "at": ago(hours=1),
        "expires": ago(hours=-5),
    }
    return ChangeApproval(**(fields | changes))


def evidence(**changes: Any) -> Evidence:
    fields = {
        "source": stack("staging"),
        "target": stack("prod"),
        "target_name": "prod",
        "commit": COMMIT,
        "approval": approval(),
        "checklist": Checklist(commit=COMMIT, by="rui", answers={"on call knows": True}),
        "break_glass": None,
        "rules": PromotionRules(checklist=("on call knows",)),
    }
    return Evidence(**(fields | changes))


def unmet(found: Evidence) -> list[str]:
    return [demand.name for demand in decide(found, NOW).demands if not demand.met]


def test_with_everything_in_order_it_promotes_and_states_the_way_back() -> None:
    decision = decide(evidence(), NOW)
    assert decision.promote, decision.demands
    assert "b" * 40 in decision.way_back
    assert not decision.loud


@pytest.mark.parametrize(
    ("changes", "demand"),
    [
        ({"commit": "d" * 40}, "commit"),
        ({"source": stack("staging", since=ago(hours=1))}, "soak"),
        ({"source": stack("staging", since=ago(hours=-1))}, "soak"),
        ({"source": stack("staging", drills={})}, "drill-staging-main"),
        ({"target": stack("prod", drills={"main": ago(hours=50)})}, "drill-prod-main"),
        ({"target": stack("prod", stores=())}, "drill-prod"),
        ({"target": stack("prod", drift=1)}, "drift-prod"),
        ({"source": stack("staging", alerts=("PereneBackupStale",))}, "alerts-staging"),
        ({"source": stack("staging", at=ago(hours=3))}, "evidence-staging"),
        ({"approval": None}, "approval"),
        ({"approval": approval(approver="rui")}, "approval"),
        ({"approval": approval(expires=ago(hours=1))}, "approval"),
        ({"approval": approval(expires="soon")}, "approval"),
        ({"approval": approval(stack="staging")}, "approval"),
        ({"approval": approval(effect="LOSES-DATA")}, "gate"),
        ({"checklist": None}, "checklist"),
        ({"checklist": Checklist(commit=COMMIT, by="rui", answers={"on call knows": False})}, "checklist"),
        ({"checklist": Checklist(commit="a" * 40, by="rui", answers={"on call knows": True})}, "checklist"),
    ],
)
def test_each_demand_alone_stops_it(changes: dict[str, Any], demand: str) -> None:
    found = evidence(**changes)
    assert demand in unmet(found)
    assert not decide(found, NOW).promote


def test_the_first_promotion_has_nothing_to_compare_with() -> None:
    decision = decide(evidence(target=None), NOW)
    assert decision.promote, decision.demands
    assert decision.first
    assert "nothing ran in prod before" in decision.way_back


def glass(**changes: Any) -> BreakGlass:
    fields = {
        "stack": "prod",
        "commit": COMMIT,
        "waives": ("soak", "approval", "commit"),
        "reason": "prod is down, this mends it",
        "by": "ana",
        "expires": ago(hours=-2),
    }
    return BreakGlass(**(fields | changes))


def test_an_emergency_passes_over_what_it_names_and_is_loud() -> None:
    decision = decide(evidence(source=stack("staging", since=ago(hours=1)), break_glass=glass()), NOW)
    assert decision.promote
    assert decision.loud
    assert any("BREAK GLASS by ana" in demand.waived for demand in decision.demands)


@pytest.mark.parametrize(
    "changes", [{"expires": ago(hours=1)}, {"stack": "dev"}, {"commit": "a" * 40}, {"waives": ("drill",)}, {"reason": " "}]
)
def test_an_emergency_that_does_not_fit_changes_nothing(changes: dict[str, Any]) -> None:
    assert not decide(evidence(source=stack("staging", since=ago(hours=1)), break_glass=glass(**changes)), NOW).promote


@pytest.mark.parametrize("changes", [{"approval": None}, {"commit": "d" * 40}])
def test_no_emergency_passes_over_who_is_responsible_and_what_it_is(changes: dict[str, Any]) -> None:
    found = evidence(**changes, break_glass=glass(commit=changes.get("commit", COMMIT)))
    assert not decide(found, NOW).promote


def test_evidence_counts_only_signed_and_for_its_own_stack(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = make_key(keys, "job")
    for name in ("staging", "prod"):
        (tmp_path / f"{name}.json").write_text(signing.sign(stack(name), key, "job").to_json())
    read = {"source": "staging", "target": "prod", "commit": COMMIT, "approval": None, "first": False}
    assert promotion_evidence.read(tmp_path, keys, **read).source.stack == "staging"
    (tmp_path / "staging.json").write_text(signing.sign(stack("prod"), key, "job").to_json())
    with pytest.raises(PereneError, match="speaks of prod"):
        promotion_evidence.read(tmp_path, keys, **read)
    (tmp_path / "staging.json").write_text(stack("staging").to_json())
    with pytest.raises(PereneError):
        promotion_evidence.read(tmp_path, keys, **read)


LUX = Path(__file__).parents[2] / "examples/direito-lux/migrations"


def ledger(environment: str, upto: int, **changed: str) -> LedgerExport:
    applied = tuple(
        AppliedMigration(
            version=each.version,
            name=each.name,
            description="",
            up_checksum=changed.get(each.label, each.up.checksum),
            down_checksum=each.down.checksum,
            applied_at=ago(hours=30),
            by="ana",
            commit=COMMIT,
            milliseconds=1,
        )
        for each in load(LUX)[:upto]
    )
    return LedgerExport(environment=environment, database="lux", taken_at=ago(minutes=5), applied=applied, audit=())


def rehearsal(**changes: Any) -> RehearsalRecord:
    fields = {
        "store": "main", "scripts": digest(load(LUX)[3:]), "recovery_set": "S", "finished_at": ago(hours=2), "by": "ana", "commit": COMMIT,
        "restore_seconds": 1.0, "migration_seconds": 1.0, "total_seconds": 2.0, "impact": "SAFE", "migrations": (), "untouched": 3,
        "differing": (), "passed": True,
    }  # fmt: skip
    return RehearsalRecord(**(fields | changes))


def schema(*, staging: int = 4, prod: int = 3, record: RehearsalRecord | None = None, approver: str = "rui", **changed: str) -> Schema:
    record = record or rehearsal()
    files = load(LUX)
    approved = MigrationApproval(
        store="main", rehearsal=signing.digest(rehearsal()), impact="SAFE", authors=("ana",), approver=approver, at=ago(hours=1),
        expires=ago(hours=-5),
    )  # fmt: skip
    return Schema(
        status=compare(files, {"staging": ledger("staging", staging), "prod": ledger("prod", prod, **changed)}),
        pending=digest(files[prod:]) if prod < len(files) else "",
        rehearsal=record,
        approval=approved,
    )


def with_schema(found: Schema | None) -> Evidence:
    rules = PromotionRules(checklist=("on call knows",), migrations={"main/lux": "migrations"})
    return evidence(rules=rules, schemas={"main/lux": found} if found else {})


def test_with_migrations_in_order_it_promotes() -> None:
    for found in (schema(), schema(prod=4, record=rehearsal(passed=False))):
        assert unmet(with_schema(found)) == [], "a rehearsal is asked for only where something is pending"


@pytest.mark.parametrize(
    ("found", "demand"),
    [
        (None, "migrations-main/lux"),
        (schema(staging=3), "migrations-main/lux"),
        (schema(**{"002_indexes": "0" * 64}), "migrations-main/lux"),
        (schema(record=rehearsal(passed=False)), "rehearsal-main/lux"),
        (schema(record=rehearsal(finished_at=ago(hours=30))), "rehearsal-main/lux"),
        (schema(record=rehearsal(scripts="0" * 64)), "rehearsal-main/lux"),
        (schema(approver="ana"), "migration-approval-main/lux"),
        (schema(record=rehearsal(untouched=4)), "migration-approval-main/lux"),
    ],
)
def test_each_gap_in_the_migrations_stops_it(found: Schema | None, demand: str) -> None:
    assert demand in unmet(with_schema(found))


def test_ledgers_rehearsal_and_approval_are_read_where_they_lie(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    job, rui = make_key(keys, "job"), make_key(keys, "rui")
    for name, upto in (("staging", 4), ("prod", 3)):
        signed = signing.sign(stack(name, ledgers={"main/lux": ledger(name, upto)}), job, "job")
        (tmp_path / f"{name}.json").write_text(signed.to_json())
    (tmp_path / "rules.json").write_text(PromotionRules(migrations={"main/lux": str(LUX)}).to_json())
    shown = tmp_path / "evidence/prod"
    shown.mkdir(parents=True)
    (shown / "rehearsal.json").write_text(rehearsal().to_json())
    approved = schema().approval
    assert approved is not None
    (shown / "approval.json").write_text(signing.sign(approved, rui, "rui").to_json())
    read = {"source": "staging", "target": "prod", "commit": COMMIT, "approval": None, "first": False, "git": tmp_path}
    gathered = promotion_evidence.read(tmp_path, keys, **read)
    names = {demand.name: demand.met for demand in decide(gathered, NOW).demands if "main/lux" in demand.name}
    assert names == {"migrations-main/lux": True, "rehearsal-main/lux": True, "migration-approval-main/lux": True}
    (shown / "approval.json").write_text((shown / "approval.json").read_text().replace("SAFE", "LOCKS"))
    with pytest.raises(PereneError, match="signature"):
        promotion_evidence.read(tmp_path, keys, **read)
