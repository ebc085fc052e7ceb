"""SIGKILL between the steps that matter: of every store the old data is live or the new, and the same command finishes."""

import signal
from pathlib import Path

import pytest

from tests.restore.conftest import Shop
from tests.restore.kills import finished, old_or_new, start

pytestmark = pytest.mark.slow

STEPS = {
    "restore uploads ends": ("old", "old"),
    "exchange main begins": ("old", "old"),
    "exchange main ends": ("new", "old"),
    "exchange uploads ends": ("new", "new"),
}


def test_one_restore_is_killed_around_each_exchange_and_finished(shop: Shop, tmp_path: Path) -> None:
    shop.spoil()
    for step, expected in STEPS.items():
        # Each run goes on where the one before it died.
        assert start(shop, tmp_path, step).wait() == -signal.SIGKILL, step
        assert old_or_new(shop) == expected, step
    finished(shop, tmp_path)
