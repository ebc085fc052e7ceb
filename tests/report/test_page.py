"""What the report says, without a browser."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perene.cli.report import app
from perene.contract.schemas import example as contract_example
from perene.contract.tier import BackupPlan
from perene.exit_codes import ExitCode
from perene.health.facts import DrillFact, Evidence, SetFact
from perene.health.sources import set_fact
from perene.report.page import day_state, page, problems
from perene.report.plot import restore_times
from tests.health.cluster import tier
from tests.report.evidence import DAY, NOW, life


def test_a_tier_whose_data_comes_back_has_no_problems() -> None:
    assert problems(tier(), life(), NOW) == []
    assert "Data comes back: shown by the last drill" in page(tier(), life(), NOW)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (Evidence(problem="wrong password"), "cannot be read"),
        (Evidence(), "main has no recovery set"),
        (Evidence(sets=life().sets), "was ever restored and compared"),
        (Evidence(sets=life().sets[:5], drills=life().drills), "The newest set of main is"),
        (
            Evidence(sets=life().sets, drills=(DrillFact(**{**vars(life().drills[-1]), "passed": False, "reasons": ("rows differ",)}),)),
            "The last drill failed: rows differ",
        ),
        (Evidence(sets=life().sets, drills=(DrillFact(**{**vars(life().drills[-1]), "rto": 9999}),)), "the goal is"),
    ],
)
def test_what_is_not_proven_is_said_on_the_page(evidence: Evidence, said: str) -> None:
    assert any(said in one for one in problems(tier(), evidence, NOW))
    assert "Needs attention" in page(tier(), evidence, NOW)


@pytest.mark.parametrize(("back", "state"), [(0, "proven"), (3, "made"), (11, "missing"), (18, "failed")])
def test_each_day_of_the_calendar_has_its_state(back: int, state: str) -> None:
    assert day_state(tier().backups, life(), datetime.fromtimestamp(NOW - back * DAY, UTC)) == state


# Two in the morning UTC; the dump takes until the next day's first hour when `long`.
MONDAY = datetime(2026, 11, 2, 2, tzinfo=UTC)
WEEKLY = BackupPlan(at="02:00 UTC", keep={"daily": 7}, drill_every="1d", weekly_above=200 * 2**30)


def weekly(day: int, *, every: int = 7, hours: float = 3, reason: str = "", id_: str = "") -> SetFact:
    began = (MONDAY + timedelta(days=day)).timestamp()
    return SetFact(
        id=id_ or f"set-{day}",
        finished=began + hours * 3600,
        bytes=1,
        seconds=hours * 3600,
        stores=("main",),
        every=every * DAY,
        reason=reason,
    )


def drilled(day: int, *, after: float = 0.5, passed: bool = True) -> DrillFact:
    ended = (MONDAY + timedelta(days=day + after)).timestamp()
    return DrillFact(**{**vars(life().drills[0]), "set": f"set-{day}", "finished": ended, "passed": passed, "reasons": ()})


@pytest.mark.parametrize(
    ("sets", "drills", "week"),
    [
        ([weekly(0), weekly(7)], [drilled(0)], "p......m"),
        ([weekly(0, hours=23), weekly(7)], [drilled(0, after=1.1)], "p......m"),
        ([weekly(0)], [drilled(0)], "p......---"),
        ([weekly(0, every=1), weekly(3, every=1)], [drilled(0)], "p--m--"),
        ([weekly(0), weekly(2, every=1)], [drilled(0)], "p.m--"),
        ([weekly(0)], [], "m.------"),
        ([weekly(0)], [drilled(0, passed=False), drilled(0, after=3.5)], "f.--...-"),
        ([weekly(0), weekly(3, reason="pre-restore")], [drilled(0)], "p..m...-"),
        ([weekly(3)], [drilled(3)], "---p......-"),
    ],
    ids=[
        "weekly",
        "ends on the next day",
        "late",
        "daily",
        "became small again",
        "never proven in its turn",
        "proven late",
        "one besides the schedule",
        "before the first",
    ],
)
def test_a_day_on_which_no_set_was_due_is_not_called_missing(sets: list[SetFact], drills: list[DrillFact], week: str) -> None:
    marks = {"proven": "p", "made": "m", "failed": "f", "missing": "-", "none-due": "."}
    evidence = Evidence(sets=tuple(sets), drills=tuple(drills))
    assert "".join(marks[day_state(WEEKLY, evidence, MONDAY + timedelta(days=day))] for day in range(len(week))) == week


def test_the_page_of_a_tier_with_weekly_sets_is_quiet_within_the_week() -> None:
    plan, now = WEEKLY.model_dump(mode="json"), (MONDAY + timedelta(days=6)).timestamp()
    evidence = Evidence(sets=(weekly(0),), drills=(drilled(0),))
    text = page(tier(backups=plan), evidence, now)
    assert problems(tier(backups=plan), evidence, now) == []
    assert text.count(": none due: ") == text.count('class="none-due"') == 6
    assert problems(tier(backups=plan), evidence, now + 3 * DAY) == ["The newest set of main is 8.9 d old."]


def test_a_manifest_says_when_its_set_began_why_and_when_the_next_is_due() -> None:
    plain = json.loads(contract_example("recovery-set").read_text())
    read = set_fact(plain | {"every": "7d", "reason": "pre-restore"})
    assert (read.began, read.every, read.reason) == (datetime.fromisoformat(plain["started"]).timestamp(), 7 * DAY, "pre-restore")


def test_names_are_escaped() -> None:
    text = page(tier(system="<b>lux</b>", owner="a@example.com"), life(), NOW)
    assert "<b>lux</b>" not in text
    assert "&lt;b&gt;lux" in text


def test_the_page_is_the_same_for_the_same_evidence() -> None:
    assert page(tier(), life(), NOW) == page(tier(), life(), NOW)


def test_a_single_drill_and_a_goal_far_above_can_be_drawn() -> None:
    one = DrillFact(**{**vars(life().drills[0]), "rto": 4.0, "rto_goal": 86400.0})
    text = restore_times([one])
    assert "far above" in text
    assert text.count("<circle") == 1


def test_the_command_reads_beside_the_tiers_repository(tmp_path: Path) -> None:
    manifest = json.loads(contract_example("recovery-set").read_text()) | {"stack": "direito-lux-dev"}
    (tmp_path / "evidence/sets").mkdir(parents=True)
    (tmp_path / "evidence/sets/one.json").write_text(json.dumps(manifest))
    (tmp_path / "config").write_bytes(b"restic's")
    where = {"kind": "volume", "url": str(tmp_path), "password": {"vault": "kubernetes", "scope": "x", "name": "y", "key": "z"}}
    (tmp_path / "tier.json").write_text(tier(repository=where).to_json())
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["dev", f"--tier={tmp_path / 'tier.json'}", f"--out={out}"])
    assert done.exit_code == ExitCode.NOT_PROVEN, done.output
    assert "1 sets, 0 drills" in done.output
    assert "was ever restored and compared" in out.read_text()
