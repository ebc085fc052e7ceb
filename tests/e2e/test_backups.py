"""Backup, drill and retention as the tier schedules them, started now: a real set of the tier's rows, restored and compared."""

import json
import re
import time

import pytest

from perene.errors import PereneError
from perene.health.figures import Figures, of_samples, scraped
from perene.health.kube import ByKubectl
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


def test_after_its_stated_seconds_make_up_made_and_proved_the_first_set(tier: Tier) -> None:
    *_, up, backup, drill = [line for line in tier.first_up.stderr.splitlines() if not line.startswith("[")]
    assert " is up in " in up, "the tier counts as up before"
    assert re.fullmatch(r"first backup: set \d{8}T\d{6}Z-\w+, stores: 1, [\d.]+ MB, \d+ s", backup), tier.first_up.stderr
    assert re.fullmatch(r"first drill: passed, fingerprint equal, canary damage found \(.+\), \d+ s", drill), tier.first_up.stderr
    again = tier.make("up")
    assert again.returncode == 0, again.stderr
    assert " is up in " in again.stderr.splitlines()[-1], "a tier that is proven is not backed up again"


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


def test_the_exporter_in_the_cluster_tells_of_the_set_of_its_proof_and_of_the_database(tier: Tier, backed_up: str) -> None:
    # It asks the repository every five minutes; a new pod asks at once.
    tier.kubectl.run("delete", "pod", "-l", "app.kubernetes.io/name=perene-exporter", "-n", tier.namespace, seconds=60)
    api = ByKubectl(tier.kubectl, 10)

    def figures() -> Figures:
        try:
            return scraped(api, tier.namespace)
        except PereneError:
            return of_samples(())

    eventually(lambda: figures().one("perene_exporter_last_success_timestamp_seconds"), "a whole round of the exporter", seconds=180)
    found = figures()
    assert found.label("perene_exporter_part_failed", "part") == ""
    now = time.time()
    for metric in ("perene_newest_set_timestamp_seconds", "perene_newest_proven_set_timestamp_seconds"):
        made = found.one(metric, store="main")
        assert made, metric
        assert 0 <= now - made < 1800, f"{metric} is of this run"
    for metric in ("perene_newest_set_bytes", "perene_newest_set_duration_seconds", "perene_drill_rto_seconds", "perene_sets"):
        assert found.one(metric), metric
    assert found.one("perene_drill_verdict") == 1
    assert found.one("perene_repository_readable") == 1
    assert found.one("kubelet_volume_stats_available_bytes", persistentvolumeclaim="data-main-g1-0"), "how full the volume is"
    assert found.one("kube_cronjob_status_last_schedule_time") is not None or found.one("kube_cronjob_spec_suspend") == 0
    beside = tier.kubectl.run("get", "--raw", f"/api/v1/namespaces/{tier.namespace}/pods/main-g1-0:9187/proxy/metrics", seconds=30)
    assert "\npg_up 1" in beside, "the login that reads statistics and nothing else gets in"
    for metric in (
        "pg_stat_activity_count{",
        "pg_settings_max_connections{",
        "pg_stat_archiver_failed_count{",
        "perene_pg_xid_used_ratio{",
    ):
        assert f"\n{metric}" in beside, metric


def test_health_finds_a_tier_that_was_backed_up_and_drilled_to_be_well(tier: Tier, backed_up: str) -> None:
    done = tier.perene("health", tier.stack, "--json", "--all")
    verdict = json.loads(done.stdout)
    wrong = [one for one in verdict["findings"] if one["state"] in {"bad", "unknown"}]
    assert not wrong, wrong
    assert done.returncode == 0
    assert verdict["seconds"] <= 5
    told = {one["check"]: one["what"] for one in verdict["findings"]}
    assert "over TLS that was verified" in told["reachable"]
    assert "as in the newest set; the last drill opened the sentinel with it" in told["key"]
    assert set(told) >= {"writable", "connections", "volume", "space", "newest set", "proven set", "guards", "alerts", "jobs", "retention"}


def test_what_the_jobs_did_stands_in_the_audit_and_a_line_cut_off_is_missed(tier: Tier, backed_up: str) -> None:
    exporter = ("exec", "deployment/perene-exporter", "-n", tier.namespace, "--")
    told = tier.kubectl.run(*exporter, "perene", "audit", "verify", "/repository", seconds=60)
    assert "whole: " in told
    assert "perene-backup 4" in told, "`up` made the first set"
    assert "anchored: perene-backup up to 3" in told, "the set anchors the line that says that it was begun"
    # What nobody could do from there: its volume is read-only.
    refused = tier.kubectl.ask(*exporter, "rm", "/repository/audit/perene-backup/00000001.json")
    assert "Read-only file system" in refused.stderr
