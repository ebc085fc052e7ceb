"""The newest good automated backup, among failed, skipped and on-demand ones and over several pages."""

from collections.abc import Mapping
from typing import Any

from perene.health.cloud_sql_runs import newest_automated
from perene.health.exporter import Exporter
from perene.health.facts import Evidence
from perene.health.states import moment
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


def test_the_exporter_shows_it_under_the_name_that_the_signal_asks_for() -> None:
    plain = tier().model_dump(mode="json")["stores"]["main"]
    cloud = plain | {
        "kind": "cloud-sql",
        "workload": None,
        "volume": None,
        "endpoint": {"kind": "postgres", "host": "10.1.2.3", "port": 5432, "ca": None, "connection_name": "p:r:i"},
    }
    document = tier(stores={"main": cloud})
    answers = objects()
    (config,) = [value for path, value in answers.items() if path.endswith("configmaps/perene-tier")]
    config["data"]["tier.json"] = document.to_json()
    exporter = Exporter(
        api=FakeApi(answers), namespace="direito-lux", evidence=lambda _: Evidence(), automated=lambda name: {"p:r:i": 77.0}[name]
    )
    exporter.gather()
    shown = {family.name: family.samples[0].value for family in exporter.collect()}
    assert shown["perene_automated_backup_timestamp_seconds"] == 77.0
