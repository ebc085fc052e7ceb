"""`perene gate` as a shell sees it: exit codes, forms, and no traceback for what it cannot read."""

import json
from pathlib import Path

import pytest

from perene.cli.main import main
from perene.safety import gate, reading
from tests.safety import recorded


def run(tmp_path: Path, name: str, *more: str) -> int:
    path = tmp_path / "preview.json"
    path.write_bytes(recorded.files()[name])
    with pytest.raises(SystemExit) as ended:
        main(["gate", str(path), *more])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no-change-prod.json", 0),
        ("cloudsql-tier-up-prod.json", 0),
        ("bucket-retention-removed.json", 4),
        ("cloudsql-region-change-staging.json", 5),
        ("program-error.json", 3),
        ("index.json", 3),
    ],
)
def test_exit_codes(tmp_path: Path, name: str, code: int) -> None:
    assert run(tmp_path, name) == code


def test_a_preview_that_the_engine_ended_badly_is_never_zero(tmp_path: Path) -> None:
    assert run(tmp_path, "no-change-prod.json", "--engine-exit", "1") == 3


def test_json_is_the_verdict_document_and_markdown_a_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "bucket-retention-removed.json", "--json")
    assert json.loads(capsys.readouterr().out)["document"] == "verdict"
    run(tmp_path, "bucket-retention-removed.json", "--format", "markdown")
    assert capsys.readouterr().out.startswith("<!-- perene gate prod -->")


def test_a_file_that_is_not_there_and_a_time_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["gate", str(tmp_path / "absent.json")])
    assert ended.value.code == 3
    assert run(tmp_path, "no-change-prod.json", "--now", "yesterday") == 2


def test_a_cluster_that_was_never_asked_is_never_zero() -> None:
    document = reading.parse_steps(recorded.files()["no-change-prod.json"], "x")
    assert gate.judge(document.model_copy(update={"asked": False})).exit_code == 3


def test_the_event_log_is_read_and_its_hidden_options_count_as_unseen() -> None:
    document = recorded.document("cloudsql-region-change-staging.json")
    events = [
        {
            "sequence": number,
            "resourcePreEvent": {
                "metadata": {"op": step["op"], "urn": step["urn"], "type": "x", "old": step.get("oldState"), "new": step.get("newState")}
            },
        }
        for number, step in enumerate(document["steps"])
    ]
    events.append({"sequence": 99, "summaryEvent": {"resourceChanges": document["changeSummary"]}})
    log = "\n".join(map(json.dumps, events)).encode()
    assert gate.judge(reading.parse_steps(log, "log")).exit_code == 5
    quiet = recorded.document("no-change-prod.json")
    lines = [
        {"resourcePreEvent": {"metadata": {"op": s["op"], "urn": s["urn"], "old": s["oldState"], "new": s["newState"]}}}
        for s in quiet["steps"]
    ]
    lines.append({"summaryEvent": {"resourceChanges": quiet["changeSummary"]}})
    assert gate.judge(reading.parse_steps("\n".join(map(json.dumps, lines)).encode(), "log")).exit_code == 3
