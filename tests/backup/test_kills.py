"""Killed backups and restores, and two at once: a few rounds of what tests/chaos does two hundred times."""

import pytest

from perene.exit_codes import ExitCode
from tests.backup.kills import Victims

pytestmark = pytest.mark.slow


def test_a_killed_backup_tears_nothing_and_the_next_run_heals_its_lock(victims: Victims) -> None:
    victims.backup_round(1.5)


def test_a_killed_restore_is_never_called_complete_and_a_rerun_finishes_it(victims: Victims) -> None:
    victims.restore_round(2.5)


def test_of_two_backups_at_once_one_is_refused(victims: Victims) -> None:
    before = len(victims.on_hand())
    both = [victims.start("backup"), victims.start("backup")]
    said = [child.communicate()[1] for child in both]
    codes = [child.returncode for child in both]
    # The later one may begin when the earlier has ended; it is never let in beside it.
    assert sorted(codes) in ([0, 0], [0, ExitCode.CANNOT_TELL]), said
    assert len(victims.on_hand()) == before + codes.count(0)
    if ExitCode.CANNOT_TELL in codes:
        assert "another backup is writing" in said[codes.index(ExitCode.CANNOT_TELL)]
