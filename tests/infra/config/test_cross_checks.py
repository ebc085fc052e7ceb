"""Cross-checks as they are written, and as the tier document carries them to jobs and restores."""

from typing import Any

from infra import tiers
from infra.config.load import load
from perene.contract.cross_check import CrossCheck, Paths, Points, Rows
from tests.infra.config.test_rejected import base


def written() -> dict[str, Any]:
    rows = {"store": "main", "database": "direito_lux", "table": "photo", "column": "id"}
    return {
        "vectors": {"rows": rows, "against": {"kind": "points", "store": "vectors", "collection": "live", "field": "photo"}, "orphans": 10},
        "media": {
            "rows": rows | {"table": "app.photo", "column": "path"},
            "against": {"kind": "files", "store": "media", "below": "media"},
        },
    }


def test_they_reach_the_tier_document() -> None:
    tier = load(base("services-dev") | {"crossChecks": written()}, where="f", stack="direito-lux-dev")
    rows = Rows(store="main", database="direito_lux", table="public.photo", column="id")
    points = Points(store="vectors", collection="live", field="photo")
    paths = Paths(store="media", below="media")
    assert {name: CrossCheck.model_validate(tiers.cross_check(check)) for name, check in tier.cross_checks.items()} == {
        "vectors": CrossCheck(rows=rows, against=points, orphans=10),
        "media": CrossCheck(rows=rows.model_copy(update={"table": "app.photo", "column": "path"}), against=paths),
    }
