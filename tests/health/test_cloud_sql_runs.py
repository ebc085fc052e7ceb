"""The newest good automated backup, among failed, skipped and on-demand ones and over several pages."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from perene.contract.tier import TierDocument
from perene.health import protection
from perene.health.cloud_sql_runs import newest_automated, open_guards
from perene.health.exporter import Exporter
from perene.health.facts import Evidence
from perene.health.figures import of_samples
from perene.health.states import moment, sample
from perene.health.subject import Tier
from perene.health.verdict import State
from tests.health.cluster import FakeApi, objects, tier

RUNS = [
    {"type": "AUTOMATED", "status": "FAILED", "endTime": "2026-11-24T06:00:00.000Z"},
    {"type": "ON_DEMAND", "status": "SUCCESSFUL", "endTime": "2026-11-24T05:00:00.000Z"},
    {"type": "AUTOMATED", "status": "SKIPPED"},
    {"type": "AUTOMATED", "status": "SUCCESSFUL", "endTime": "2026-11-22T06:07:08.000Z"},
    {"type": "AUTOMATED", "status": "SUCCESSFUL", "endTime": "2026-11-23T06:07:08.000Z"},
]


class Google:
    """The metadata server and the Admin API, two runs a page."""

    def __init__(self, runs: list[dict[str, str]]) -> None:
        self.runs = runs
        self.asked: list[str] = []

    def __call__(self, url: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        self.asked.append(url)
        if "metadata.google.internal" in url:
            assert headers["Metadata-Flavor"] == "Google"
            return {"access_token": "t0ken"}
        assert headers["Authorization"] == "Bearer t0ken"
        assert "/projects/acme-prod/instances/main-g1-abc/backupRuns" in url
        start = int(url.rpartition("pageToken=")[2]) if "pageToken" in url else 0
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(self.runs) else {}
        return {"items": self.runs[start : start + 2], **more}


def test_the_newest_successful_automated_run_counts_and_no_other() -> None:
    google = Google(RUNS)
    assert newest_automated("acme-prod:southamerica-east1:main-g1-abc", google) == moment("2026-11-23T06:07:08Z")
    assert len(google.asked) == 4, "every page is read"


def test_an_instance_without_a_good_run_has_none() -> None:
    assert newest_automated("acme-prod:r:main-g1-abc", Google(RUNS[:3])) is None


def cloud_tier() -> TierDocument:
    plain = tier().model_dump(mode="json")["stores"]["main"]
    cloud = plain | {
        "kind": "cloud-sql",
        "workload": None,
        "volume": None,
        "endpoint": {"kind": "postgres", "host": "10.1.2.3", "port": 5432, "ca": None, "connection_name": "p:r:i"},
        "backup": {"ways": ["automated", "pitr"], "automated_keep": 35, "pitr_days": 30},
    }
    return tier(stores={"main": cloud})


AS_DECLARED = {
    "settings": {
        "deletionProtectionEnabled": True,
        "backupConfiguration": {
            "enabled": True,
            "backupRetentionSettings": {"retainedBackups": 35},
            "pointInTimeRecoveryEnabled": True,
            "transactionLogRetentionDays": 30,
        },
    }
}


@pytest.mark.parametrize(
    ("path", "value", "opened"),
    [
        ("", None, set()),
        ("settings.deletionProtectionEnabled", False, {"delete"}),
        ("settings.backupConfiguration.enabled", False, {"automated-backups"}),
        ("settings.backupConfiguration.backupRetentionSettings.retainedBackups", 34, {"automated-backups"}),
        ("settings.backupConfiguration.pointInTimeRecoveryEnabled", False, {"pitr"}),
        ("settings.backupConfiguration.transactionLogRetentionDays", 29, {"pitr"}),
    ],
)
def test_a_guard_that_is_open_on_the_instance_is_shown_and_health_says_so(path: str, value: object, opened: set[str]) -> None:
    instance = copy.deepcopy(AS_DECLARED)
    if path:
        *parents, last = path.split(".")
        place: Any = instance
        for part in parents:
            place = place[part]
        place[last] = value

    def google(url: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        return {"access_token": "t0ken"} if "metadata" in url else instance

    document = cloud_tier()
    assert {guard for guard, is_open in open_guards(document.stores["main"], "p:r:i", google).items() if is_open} == opened
    told = [sample("perene_guard_open", guard in opened, resource="main", guard=guard) for guard in ("delete", "automated-backups", "pitr")]
    seen = Tier(document=document, api=FakeApi(), resolve=lambda _: b"", figures=lambda: of_samples(told))
    warned = {finding.what for finding in protection.guards(seen) if finding.state is State.WARNING}
    assert warned == {f"the guard {guard} of main is open" for guard in opened}


def test_the_exporter_shows_both_under_the_names_that_the_signals_ask_for() -> None:
    answers = objects()
    (config,) = [value for path, value in answers.items() if path.endswith("configmaps/perene-tier")]
    config["data"]["tier.json"] = cloud_tier().to_json()
    exporter = Exporter(
        api=FakeApi(answers),
        namespace="direito-lux",
        evidence=lambda _: Evidence(),
        automated=lambda name: {"p:r:i": 77.0}[name],
        instance=lambda _, name: {"p:r:i": {"pitr": True}}[name],
    )
    exporter.gather()
    samples = [one for family in exporter.collect() for one in family.samples]
    assert [one.value for one in samples if one.name == "perene_automated_backup_timestamp_seconds"] == [77.0]
    assert {"stack": "direito-lux-dev", "resource": "main", "guard": "pitr"} in [
        one.labels for one in samples if one.name == "perene_guard_open" and one.value
    ]
