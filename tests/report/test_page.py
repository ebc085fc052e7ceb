"""What the report says, without a browser."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perene.cli.report import app
from perene.contract.schemas import example as contract_example
from perene.exit_codes import ExitCode
from perene.health.facts import DrillFact, Evidence
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
    assert day_state(life(), datetime.fromtimestamp(NOW - back * DAY, UTC)) == state


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
