"""Backup, drill and retention as the tier schedules them, started now: a real set of the tier's rows, restored and compared."""

import json

import pytest

from tests.e2e.tier import Tier, eventually


def run(tier: Tier, job: str, name: str) -> str:
    """Start a CronJob's Job now; its log when it has ended well."""
    tier.kubectl.run("create", "job", f"--from=cronjob/perene-{job}", name, "-n", tier.namespace)

    def ended() -> bool:
        status = (tier.kubectl.get("job", name, namespace=tier.namespace) or {}).get("status", {})
        return any(condition["type"] in {"Complete", "Failed"} for condition in status.get("conditions", []))

    eventually(ended, f"the end of {name}", seconds=300)
    log = tier.kubectl.run("logs", f"job/{name}", "-n", tier.namespace)
    status = (tier.kubectl.get("job", name, namespace=tier.namespace) or {})["status"]
    assert status.get("succeeded") == 1, log
    return log


@pytest.fixture(scope="module")
def backed_up(tier: Tier) -> str:
    """The log of a backup of the tier as it is."""
    return run(tier, "backup", "backup-now")


def test_a_set_is_made_and_its_manifest_verified(backed_up: str) -> None:
    assert "verified" in backed_up
    stages = [json.loads(line) for line in backed_up.splitlines() if line.startswith("{")]
    assert {"main/direito_lux", "canary/perene_canary"} <= {stage.get("of") for stage in stages}, "the store and the canary are dumped"


def test_the_drill_restores_it_and_notices_planted_damage(tier: Tier, backed_up: str) -> None:
    log = run(tier, "drill", "drill-now")
    assert "passed" in log
    assert "damage on purpose" in log
    assert "NOT NOTICED" not in log


def test_retention_keeps_the_newest_set(tier: Tier, backed_up: str) -> None:
    assert "newest" in run(tier, "retention", "retention-now")
