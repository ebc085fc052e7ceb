"""No change of a threshold, comparison, join, filter, range, duration, label or text of any signal goes unnoticed (about a minute)."""

from pathlib import Path

import pytest

from perene.health.prove import rule_of
from perene.health.signals import SIGNALS
from tests.health.mutants import mutants
from tests.health.promtool import survivors
from tests.programs import needs

# Changes that say the same: no state of the world tells the rule from its mutant.
EQUIVALENT = {
    "backup-failed: 0 -> -1000": "the moment that stands for `never succeeded` lies before any schedule either way",
}


@pytest.mark.e2e
@needs("promtool")
def test_no_change_of_any_signal_goes_unnoticed(tmp_path: Path) -> None:
    lists = {signal.name: list(mutants(rule_of(signal)[0])) for signal in SIGNALS}
    survived = [line for line in survivors(tmp_path, lists) if line not in EQUIVALENT]
    print(f"{sum(map(len, lists.values()))} mutants of {len(SIGNALS)} signals")  # noqa: T201
    assert not survived, "\n".join(survived)
