"""From which size on sets are weekly, where the configuration does not say."""

from typing import Any

import pytest

from infra.config.load import load
from infra.config.rules_backups import weekly_above
from tests.infra.config.test_rejected import changed

GIB = 2**30


@pytest.mark.parametrize(
    ("stack", "change", "above"),
    [
        ("prod", {}, 200 * GIB),
        ("prod", {"backups.weeklyAbove": "50GiB"}, 50 * GIB),
        ("prod", {"backups.sealedCopy.every": "1d"}, None),
        ("staging", {}, None),
        ("dev", {}, None),
        ("dev", {"goals.rpo": "8d"}, 200 * GIB),
        ("dev", {"goals.rpo": "7d"}, None),
    ],
)
def test_sets_are_weekly_only_where_the_recovery_points_are_kept_otherwise(stack: str, change: dict[str, Any], above: int | None) -> None:
    tier = load(changed({"stack": stack, "change": change}), where="Pulumi.x.yaml", stack=stack)
    assert weekly_above(tier) == above
