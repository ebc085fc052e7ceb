"""Weekly sets of large databases: when the next one is due, who is told, and that the scheduled run keeps to it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import perene.cli.backup
from perene.backup import cadence, sets
from perene.backup.repository import Repository
from perene.backup.run import Job, make_set
from perene.backup.sets import OnHand
from perene.contract.recovery_set import PostgresContent, StoreSet
from perene.contract.tier import BackupPlan
from perene.health.sources import repository as reader
from tests.backup.test_run import quiet
from tests.backup.tiers import tier

GIB = 2**30
NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)
PLAN = BackupPlan(at="01:00 America/Sao_Paulo", keep={"daily": 7}, drill_every="1d", weekly_above=200 * GIB)


def one(days: float, *, every: str = "7d", proven: bool = True, reason: str = "", imported: str = "") -> OnHand:
    return OnHand(f"set-{days}", NOW - timedelta(days=days), proven, (), reason, imported, every)


@pytest.mark.parametrize(
    ("held", "due"),
    [
        ([], True),
        ([one(1)], False),
        ([one(6)], False),
        ([one(6.4)], False),
        ([one(6.6)], True),
        ([one(30)], True),
        ([one(1, every="1d")], True),
        ([one(3), one(1, every="1d")], True),
        ([one(8), one(2)], False),
        ([one(1, proven=False)], False),
        ([one(2, proven=False)], True),
        ([one(8), one(1, reason="pre-restore")], True),
        ([one(8), one(1, imported="2026-11-25T00:00:00+00:00")], True),
        ([one(-1)], True),
    ],
    ids=[
        "none yet",
        "yesterday's",
        "six days old",
        "just before the slack",
        "within the slack",
        "long late",
        "a daily one",
        "became small again",
        "the newest counts",
        "its drill is still to come",
        "its drill did not prove it",
        "made before a restore",
        "imported",
        "of the future: a clock is wrong",
    ],
)
def test_when_the_scheduled_run_makes_a_set(held: list[OnHand], due: bool) -> None:
    assert (cadence.not_due(PLAN, held, NOW) == "") is due
    assert cadence.not_due(None, held, NOW) == ""
    assert cadence.not_due(PLAN.model_copy(update={"weekly_above": None}), held, NOW) == "", "the size was taken back"


def test_the_reason_says_since_when_above_what_and_until_when() -> None:
    said = cadence.not_due(PLAN, [one(3)], NOW)
    assert "set-3 is 3.0 days old" in said
    assert "200 GiB" in said
    assert "due from 2026-11-29 16:00Z" in said


@pytest.mark.parametrize(("size", "above", "every"), [(201, 200, "7d"), (200, 200, "1d"), (201, None, "1d")])
def test_a_set_says_itself_when_the_next_one_is_due(
    repository: Repository, tmp_path: Path, size: int, above: int | None, every: str
) -> None:
    document = tier(repository.url, files=tmp_path)
    assert document.backups
    limit = None if above is None else above * GIB
    document = document.model_copy(update={"backups": document.backups.model_copy(update={"weekly_above": limit})})
    made = make_set(document, repository, stages=quiet(), drivers={"files": large(size)}, with_canary=False)
    assert made.every == every
    assert [found.every for found in sets.on_hand(repository.snapshots())] == [every], "told by one listing"
    assert [fact.every for fact in reader()(document).sets] == [{"1d": 86400, "7d": 7 * 86400}[every]], "and to whoever watches"


def large(size: int):  # type: ignore[no-untyped-def]
    """A driver whose store took `size` GiB, in two databases."""

    def driver(job: Job) -> StoreSet:
        sizes = {"one": (size - 50) * GIB, "two": 50 * GIB}
        return StoreSet(
            kind="postgres",
            version="17",
            tool="",
            started="2026-11-26T00:00:00+00:00",
            finished="2026-11-26T00:00:01+00:00",
            position=job.set_id,
            parts=(),
            content=PostgresContent(databases={}, records={}, roles={}, sizes=sizes),
            seconds={},
        )

    return driver


def test_the_scheduled_run_says_why_it_makes_none_and_a_person_gets_one_at_once(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    document = tier(repository.url, files=uploads)
    assert document.backups
    document = document.model_copy(update={"backups": document.backups.model_copy(update={"weekly_above": 200 * GIB})})
    (tmp_path / "tier.json").write_text(document.to_json())
    first = make_set(document, repository, stages=quiet(), drivers={"files": large(300)}, with_canary=False)
    made: list[str] = []
    monkeypatch.setattr(perene.cli.backup, "open_repository", lambda *_, **__: repository)
    monkeypatch.setattr(perene.cli.backup, "make_set", lambda *_, **__: made.append("made") or first)

    def run(*words: str) -> str:
        done = CliRunner().invoke(perene.cli.backup.app, [f"--tier={tmp_path / 'tier.json'}", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert f"no set today: {first.id}" in run("--when-due")
    assert made == []
    assert f"recovery set {first.id}" in run()
    assert made == ["made"]
