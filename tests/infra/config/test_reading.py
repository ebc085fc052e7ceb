"""What two YAML readers would take for different things is refused, with its line."""

import json
from datetime import date
from pathlib import Path

import pytest

from infra.config.load import ConfigError, load, load_file, read_stack_file
from infra.config.reading import read
from perene.safety.openings import read_tier

TRAPS = [
    ("at: 02:00", "line 2", "base 60"),
    ("at: 23:30", "line 2", "base 60"),
    ("on: 1", "", ""),
    ("enabled: no", "line 2", "boolean"),
    ("enabled: Yes", "line 2", "boolean"),
    ("enabled: off", "line 2", "boolean"),
    ("enabled: y", "line 2", "boolean"),
    ("size: 1e3", "line 2", "number for some"),
    ("size: 1_000", "line 2", "number for some"),
    ("mode: 0755", "line 2", "another base"),
    ("mode: 0o17", "line 2", "another base"),
    ("mode: 0x1F", "line 2", "another base"),
    ("share: .inf", "line 2", "no finite"),
    ("a: &x 1", "line 2", "anchors"),
    ("a: 1\nb: *x", "line 3", "undefined alias"),
    ("a: 1\na: 2", "line 3", "stands twice"),
    ("\ta: 1", "line 2", "no valid YAML"),
    ("a: [1, 2", "line", "no valid YAML"),
    ("a: {b: 1}}", "line 2", "no valid YAML"),
]


@pytest.mark.parametrize(("text", "line", "what"), TRAPS)
def test_a_trap_is_named_with_its_line(text: str, line: str, what: str) -> None:
    _, problems = read(f"# first line\n{text}\n", "f.yaml")
    shown = "\n".join(map(str, problems))
    assert (line in shown and what in shown) if what else not problems, shown


def test_a_tab_is_said_to_be_a_tab() -> None:
    _, problems = read("config:\n\ta: 1\n", "f.yaml")
    assert "tab" in str(problems[0])


def test_plain_values_are_what_they_look_like() -> None:
    value, problems = read('a: true\nb: 12\nc: 0.95\nd: "02:00 Europe/Berlin"\ne: 2026-12-01\nf: 30d\ng:\nh: [x, {i: -1}]\n', "f.yaml")
    assert not problems
    assert value == {
        "a": True,
        "b": 12,
        "c": 0.95,
        "d": "02:00 Europe/Berlin",
        "e": "2026-12-01",
        "f": "30d",
        "g": None,
        "h": ["x", {"i": -1}],
    }


def test_a_missing_file_names_the_stacks_that_exist(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}")
    with pytest.raises(ConfigError, match="name one of the stacks that exist: dev"):
        load_file(tmp_path / "Pulumi.prod.yaml")


@pytest.mark.parametrize("text", ["", "a: 1", "config:\n  other: 1", "- 1", "config: text"])
def test_a_file_without_a_tier_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_stack_file(file)


def test_a_second_value_beside_the_tier_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("config:\n  perene:tier: {}\n  perene:replicas: 3\n")
    _, problems = read_stack_file(file)
    assert "is not read by the program" in str(problems[0])


@pytest.mark.parametrize("written", ["2026-12-01", "2026-12-01T00:00:00Z", "2026-12-01 00:00:00 +0000 UTC"])
def test_a_bare_date_is_a_day_in_every_spelling_of_the_engine(written: str) -> None:
    opened = {"resource": "main", "guard": "delete", "until": written, "reason": "moving", "by": "ana@example.org"}
    value, _ = read_stack_file(Path(__file__).parents[3] / "Pulumi.prod.yaml")
    tier = load({**value, "guards": {"opened": [opened]}}, where="f", stack="prod")
    assert [one.until for one in tier.guards.opened] == ["2026-12-01"]
    assert [one.until for one in read_tier(json.dumps({"guards": {"opened": [opened]}})).openings] == [date(2026, 12, 1)]
