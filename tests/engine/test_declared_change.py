"""What two commits declare, compared without credentials, state or engine."""

import dataclasses
from pathlib import Path
from typing import Any

from perene.contract.verdict import Verdict
from perene.engine import declared_change
from perene.engine.program import Program, Registration
from perene.exit_codes import ExitCode
from perene.safety import gate

ROOT = Path(__file__).parents[2]
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"


def program(**inputs: Any) -> Program:
    resource = Registration(
        urn=f"urn:pulumi:prod::perene::{INSTANCE}::main-g1-instance",
        type=INSTANCE,
        name="main-g1-instance",
        parent=None,
        custom=True,
        id="x",
        inputs={"region": "a", "settings": {"backupConfiguration": {"enabled": True}}} | inputs,
        outputs={},
        protect=True,
    )
    return Program(project="perene", stack="prod", resources=(resource,), outputs={})


def judged(before: Program, after: Program) -> Verdict:
    states = {resource.urn: declared_change.state_of(resource) for resource in before.resources}
    return gate.judge(declared_change.compare(states, after))


def test_nothing_changed_is_zero_and_marked_as_declared() -> None:
    verdict = judged(program(), program())
    assert (verdict.way, verdict.exit_code) == ("declared", ExitCode.DONE)


def test_what_forces_a_replacement_by_the_catalogue_loses_data() -> None:
    assert judged(program(), program(region="b")).exit_code == ExitCode.LOSES_DATA


def test_a_lifted_guard_and_a_removed_store_are_seen() -> None:
    before = program()
    open_one = dataclasses.replace(before, resources=tuple(dataclasses.replace(each, protect=False) for each in before.resources))
    assert judged(before, open_one).exit_code == ExitCode.WEAKENS
    assert judged(before, dataclasses.replace(before, resources=())).exit_code == ExitCode.LOSES_DATA


def test_a_backup_switched_off_weakens() -> None:
    assert judged(program(), program(settings={"backupConfiguration": {"enabled": False}})).exit_code == ExitCode.WEAKENS


def test_another_commit_is_run_by_its_own_code() -> None:
    document = declared_change.against_ref(ROOT, "dev", "HEAD")
    assert document.way == "declared"
    assert document.tier, "the goals stand in the configuration"
    assert {step.op for step in document.steps} <= {"same", "update", "create", "delete", "replace"}
