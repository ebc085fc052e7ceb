"""Every signal fires when it must, is silent when it must, clears by itself, and no small change of it goes unnoticed."""

import re
from pathlib import Path

import pytest

from perene.health.catalog.types import Proof
from perene.health.prove import cases, rule_of
from perene.health.signals import LOG_SIGNALS, SIGNALS
from tests.health.mutants import mutants
from tests.health.promtool import failing, survivors
from tests.programs import needs

ROOT = Path(__file__).parents[2]
BY_NAME = {signal.name: signal for signal in SIGNALS}


@needs("promtool")
def test_every_signal_fires_at_its_minute_and_is_silent_and_clears_when_it_should(tmp_path: Path) -> None:
    wrong, said = failing(tmp_path, {signal.name: rule_of(signal)[0] for signal in SIGNALS})
    assert not wrong, f"{sorted(wrong)}\n{said}"


def test_every_signal_is_proven_in_the_five_shapes() -> None:
    for signal in SIGNALS:
        titles = " | ".join(case.title for case in cases(signal, rule_of(signal)[1]))
        for shape in ("fires at the right minute", "just below", "recovers", "vanishes", "never existed", "among larger ones"):
            assert shape in titles, f"{signal.name} lacks the case {shape!r}"


def test_a_signal_that_is_silent_when_its_series_is_missing_names_the_one_that_speaks() -> None:
    for signal in SIGNALS:
        proof: Proof = signal.proof
        if proof.missing is None:
            speaker = BY_NAME[proof.silence_is]
            while speaker.proof.missing is None:
                assert speaker.name != signal.name, f"{signal.name}: silence goes round in a circle"
                speaker = BY_NAME[speaker.proof.silence_is]


@needs("promtool")
def test_the_first_number_of_every_signal_changed_by_three_percent_is_noticed(tmp_path: Path) -> None:
    """One mutant of each signal here; all of them in tests/e2e/test_alert_mutants.py."""
    lists = {signal.name: list(mutants(rule_of(signal)[0]))[:1] for signal in SIGNALS}
    assert not survivors(tmp_path, lists)


@pytest.mark.parametrize("signal", [*SIGNALS, *LOG_SIGNALS], ids=lambda signal: signal.name)
def test_every_alert_says_what_it_means_what_to_do_and_has_a_runbook(signal) -> None:  # type: ignore[no-untyped-def]
    assert len(signal.meaning) > 30, "what it means for data is said"
    assert len(signal.first) == 3, "exactly the first three things"
    assert all(step.strip() for step in signal.first)
    text = (ROOT / signal.runbook).read_text()
    assert signal.meaning in text, "the runbook says the same as the page"
    assert all(step.replace("$store", "STORE").replace("$stack", "STACK") in text for step in signal.first)


def test_names_are_unique_and_alerts_too() -> None:
    names = [signal.name for signal in SIGNALS] + [signal.name for signal in LOG_SIGNALS]
    assert len(names) == len(set(names))


# Commands of other parts of the tool that pages name; each is checked by its own tests.
ELSEWHERE = {"backup", "restore", "drill", "repo", "key", "local", "migrate", "secrets"}


def test_every_command_that_a_page_names_exists() -> None:
    from perene.cli.main import COMMANDS

    texts = [step for signal in (*SIGNALS, *LOG_SIGNALS) for step in (*signal.first, signal.then)]
    named = {word for text in texts for word in re.findall(r"\bperene ([a-z-]+)", text)}
    assert named <= set(COMMANDS) | ELSEWHERE, named - set(COMMANDS) - ELSEWHERE
    assert {"health", "alerts", "audit", "report"} <= set(COMMANDS)
