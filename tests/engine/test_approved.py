"""What was approved is what is applied: anything that moved in between stops it before the first call."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perene.contract.approval import Signed
from perene.engine import approved
from perene.engine.change import Stack
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import drift, gate, signing
from tests.safety import recorded
from tests.safety.keys import make_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FAKE = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/calls"
case "$1" in
  preview|refresh) cat "$(dirname "$0")/preview.json"; exit $(cat "$(dirname "$0")/code");;
  stack) cat "$(dirname "$0")/state.json";;
esac
"""


class Bench:
    """A checkout with a stack, and an engine that replays a recording."""

    def __init__(self, root: Path) -> None:
        self.root, self.keys, self.plan = root, root / "keys", root / "plan.json"
        self.key = make_key(self.keys, "ana")
        self.engine = root / "bin"
        self.engine.mkdir()
        (self.engine / "pulumi").write_text(FAKE)
        (self.engine / "pulumi").chmod(0o755)
        (root / "Pulumi.yaml").write_text("name: perene\n")
        (root / "Pulumi.prod.yaml").write_text("config: {}\n")
        (root / ".gitignore").write_text("bin\nkeys\nplan.json\n")
        self.git("init", "-q")
        self.commit("rui@example.org")
        self.shows("label-added-prod.json")
        self.has_state("1")
        self.stack = Stack(root, "prod", program=str(self.engine / "pulumi"))

    def git(self, *arguments: str) -> None:
        identity = {"GIT_AUTHOR_NAME": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@example.org"}
        subprocess.run(["git", *arguments], cwd=self.root, check=True, env=os.environ | identity)

    def commit(self, author: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x", f"--author=x <{author}>")

    def shows(self, name: str, code: int = 0) -> None:
        (self.engine / "preview.json").write_bytes(recorded.files()[name])
        (self.engine / "code").write_text(str(code))

    def has_state(self, modified: str, **more: str) -> None:
        """The state from which the recording was made. modified: a time, which does not count; more: an output, which does."""
        olds = [step["oldState"] for step in recorded.document("label-added-prod.json")["steps"]]
        resources = [old | {"modified": modified, "outputs": {**old.get("outputs", {}), **more}} for old in olds]
        (self.engine / "state.json").write_text(json.dumps({"version": 3, "deployment": {"resources": resources}}))

    def approve(self, approver: str = "ana") -> Signed:
        verdict = approved.judged(self.stack, NOW, None, self.keys)
        signed = approved.approve(self.stack, verdict, private_key=self.key, approver=approver, now=NOW, valid=timedelta(hours=1))
        self.plan.write_text(signed.to_json())
        return signed

    def apply(self, now: datetime = NOW, *, backup: bool = True) -> None:
        def restore_point(_: str) -> None:
            self.backups = getattr(self, "backups", 0) + 1
            if not backup:
                raise PereneError("no backup", exit_code=ExitCode.CANNOT_TELL)

        verdict = approved.judged(self.stack, now, None, self.keys)
        approved.apply(self.stack, self.plan, self.keys, verdict, now=now, restore_point=restore_point)

    @property
    def ups(self) -> int:
        return sum(line.startswith("up ") for line in (self.engine / "calls").read_text().splitlines())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_was_approved_is_applied_after_a_restore_point(bench: Bench) -> None:
    bench.approve()
    bench.apply()
    assert (bench.ups, bench.backups) == (1, 1)


def moved_state(bench: Bench) -> None:
    bench.has_state("1", address="another")


def moved_steps(bench: Bench) -> None:
    bench.shows("cloudsql-backup-window-change.json")


def moved_configuration(bench: Bench) -> None:
    (bench.root / "Pulumi.prod.yaml").write_text("config: {a: b}\n")
    bench.commit("rui@example.org")


def moved_commit(bench: Bench) -> None:
    bench.commit("rui@example.org")


def moved_checkout(bench: Bench) -> None:
    (bench.root / "Pulumi.prod.yaml").write_text("config: {a: b}\n")


def failed_preview(bench: Bench) -> None:
    bench.shows("label-added-prod.json", code=1)


def another_signature(bench: Bench) -> None:
    signed = Signed.parse(bench.plan.read_bytes(), "plan")
    other = make_key(bench.root / "other", "ana")
    forged = signing.sign(approved.promotion_evidence.read_approval(bench.plan, bench.keys), other, "ana")
    assert forged.payload == signed.payload
    bench.plan.write_text(forged.to_json())


@pytest.mark.parametrize(
    "move", [moved_state, moved_steps, moved_configuration, moved_commit, moved_checkout, failed_preview, another_signature]
)
def test_nothing_is_applied_after_anything_moved(bench: Bench, move: Any) -> None:
    bench.approve()
    move(bench)
    with pytest.raises(PereneError) as refused:
        bench.apply()
    assert refused.value.exit_code == ExitCode.CANNOT_TELL
    assert bench.ups == 0, "refused before the first call"


def test_times_in_the_state_do_not_count_as_moved(bench: Bench) -> None:
    bench.approve()
    bench.has_state("2")
    bench.apply()
    assert bench.ups == 1


def test_without_a_restore_point_a_guarded_change_is_not_applied(bench: Bench) -> None:
    bench.approve()
    with pytest.raises(PereneError, match="no backup"):
        bench.apply(backup=False)
    assert bench.ups == 0


def test_an_approval_ends(bench: Bench) -> None:
    bench.approve()
    with pytest.raises(PereneError, match="the approval ended"):
        bench.apply(NOW + timedelta(hours=2))


def test_nobody_approves_their_own_commit(bench: Bench) -> None:
    bench.commit("ana")
    with pytest.raises(PereneError, match="wrote this commit"):
        bench.approve("ana")


@pytest.mark.parametrize(
    ("name", "code"), [("bucket-retention-removed.json", ExitCode.WEAKENS), ("cloudsql-region-change-staging.json", ExitCode.LOSES_DATA)]
)
def test_what_the_gate_refuses_cannot_be_approved(bench: Bench, name: str, code: ExitCode) -> None:
    bench.shows(name)
    with pytest.raises(PereneError) as refused:
        bench.approve()
    assert refused.value.exit_code == code


def test_the_same_drift_has_the_same_fingerprint_and_another_one_another(bench: Bench) -> None:
    bench.shows("refresh-preview-backups-disabled-out-of-band.json")
    one, again = (drift.fingerprint(gate.judge(bench.stack.drift(), now=now)) for now in (NOW, NOW + timedelta(days=1)))
    bench.shows("refresh-preview-no-drift.json")
    none = gate.judge(bench.stack.drift(), now=NOW)
    assert one == again != drift.fingerprint(none)
    assert drift.drifted(none) == 0
