"""The drill by point-in-time recovery on a double of Cloud SQL's Admin API, with a real PostgreSQL as the clone. Unproven in a cloud."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from perene.backup.cloud_sql import SqlAdmin
from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.contract.drill import DrillRecord
from perene.contract.recovery_set import PostgresContent, RecoverySet, StoreSet
from perene.contract.tier import Check, Goals, PostgresEndpoint, StoreBackup, TierDocument
from perene.drill import pitr
from perene.drill import run as drill
from perene.drill.scratch import scratch
from perene.errors import PereneError
from perene.safety import drills
from tests.backup.tiers import tier
from tests.doubles import google
from tests.programs import needs
from tests.safety.keys import make_key

QUIET = Stages(io.StringIO(), live=False)
NOW = datetime(2026, 11, 26, 1, 2, tzinfo=UTC)
SOURCE = "projects/acme/instances/lux"


@needs("postgres")
@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """What the clone turns out to hold."""
    with scratch() as running:
        with running.connect("postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE shop")
        with running.connect("shop", autocommit=True) as connection:
            connection.execute("CREATE TABLE public.photo AS SELECT i FROM generate_series(1, 100) i; CREATE SEQUENCE public.ticket")
            connection.execute("SELECT setval('public.ticket', 50)")
        yield running


@pytest.fixture(scope="module")
def manifest(server: Server) -> RecoverySet:
    """A set of the hour before."""
    with fingerprint.freeze(server, "shop") as frozen:
        found, roles = fingerprint.fingerprint(frozen), fingerprint.roles(frozen.connection)
        records = fingerprint.records(frozen.connection, ["shop"])
    at = (NOW - timedelta(hours=1)).isoformat()
    kept = StoreSet(
        kind="cloud-sql", version="17", tool="pg_dump", started=at, finished=at, position="", parts=(), seconds={},
        content=PostgresContent(databases={"shop": found}, records=records, roles=roles),
    )  # fmt: skip
    return RecoverySet(
        id="20261126T000200Z-abcdef", stack="test", started=at, finished=at, tier=document(server), stores={"main": kept}, versions={}
    )


def document(server: Server, at_least: int = 100) -> TierDocument:
    made = tier("/repository", server=server, databases=("shop",), checks=(Check(count="photo", at_least=at_least, database="shop"),))
    store = made.stores["main"].model_copy(
        update={
            "kind": "cloud-sql",
            "endpoint": PostgresEndpoint(host="127.0.0.1", connection_name="acme:southamerica-east1:lux"),
            "backup": StoreBackup(ways=("automated", "pitr", "logical"), pitr_days=30),
        }
    )
    return made.model_copy(update={"stores": {"main": store}})


class Run:
    """Drills against the double."""

    def __init__(self, double: google.Google, address: str, server: Server, manifest: RecoverySet, folder: Path) -> None:
        self.double, self.server, self.manifest = double, server, manifest
        self.key = make_key(folder / "keys", "test")
        self.public = (folder / "keys" / "test.pub").read_bytes()
        self.admin = SqlAdmin(f"{address}sql/v1beta4/", requests.Session(), sleep=lambda _: None)
        protected = {"deletionProtectionEnabled": True, "connectorEnforcement": "REQUIRED", "tier": "db-perf-optimized-N-2"}
        body = {"name": "lux", "region": "southamerica-east1", "settings": protected}
        requests.post(f"{address}sql/v1beta4/projects/acme/instances", json=body, timeout=5).raise_for_status()

    def __call__(self, *failing: str, at_least: int = 100, **changes: Any) -> DrillRecord:
        self.double.failing = set(failing)
        words: dict[str, Any] = {"to": None, "now": NOW, "patience": 30.0} | changes
        return pitr.drill(
            document(self.server, at_least), "main", self.manifest, admin=self.admin, reach=self.reach, signing_key=self.key,
            stages=QUIET, **words,
        )  # fmt: skip

    @contextmanager
    def reach(self, instance: Mapping[str, Any]) -> Iterator[Server]:
        assert instance["settings"]["deletionProtectionEnabled"] is False, "a clone inherits what would keep it: taken off first"
        assert instance["settings"]["connectorEnforcement"] == "NOT_REQUIRED"
        assert instance["pointInTime"].endswith("Z")
        yield self.server

    @property
    def instances(self) -> list[str]:
        return [key.rpartition("/")[2] for key in self.double.objects if key.startswith("sql/projects/acme/instances/")]


@pytest.fixture
def run(server: Server, manifest: RecoverySet, tmp_path: Path) -> Iterator[Run]:
    with google.serve() as (double, address):
        yield Run(double, address, server, manifest, tmp_path)


def test_a_clone_is_compared_and_deleted_and_the_record_is_signed(run: Run) -> None:
    record = run()
    assert (record.verdict, record.source, record.set) == ("passed", "pitr", run.manifest.id), record.reasons
    assert drills.genuine(record, run.public)
    assert record.rpo_seconds == 120, "from now to the newest moment that can be recovered"
    assert run.instances == ["lux"], "the clone is gone"
    assert [call for call in run.double.mutations if call.startswith("DELETE")] == [
        "DELETE /sql/v1beta4/projects/acme/instances/lux-drill-20261126010200"
    ]


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("quota", "HTTP 429: Quota exceeded"),
        ("clone", "CLONE failed: INTERNAL_ERROR the point in time is out of range"),
        ("time-out", "it is not finished after 30 s"),
        ("never-ready", "the clone is PENDING_CREATE, not RUNNABLE"),
    ],
)
def test_every_failure_of_the_service_fails_the_drill_and_leaves_no_clone(run: Run, failing: str, said: str) -> None:
    record = run(failing)
    assert record.verdict == "failed"
    assert any(said in reason for reason in record.reasons), record.reasons
    assert record.stores == {}
    assert run.instances == ["lux"]
    assert drills.genuine(record, run.public), "a failure is evidence too"


def test_a_clone_that_cannot_be_deleted_fails_the_drill_and_is_found_by_the_next_one(run: Run) -> None:
    record = run("delete")
    (reason,) = record.reasons
    assert reason.startswith("the clone lux-drill-20261126010200 is still there")
    assert "gcloud sql instances delete lux-drill-20261126010200 --project=acme" in reason
    later = run(now=NOW + timedelta(days=1))
    assert any("lux-drill-20261126010200 is still there" in reason for reason in later.reasons)
    assert "lux-drill-20261126010200" in run.instances, "what was not made by this drill is named, and left to a person"
    assert "lux-drill-20261127010200" not in run.instances


def test_what_differs_is_named_and_rows_of_another_moment_are_no_difference(run: Run) -> None:
    with run.server.connect("shop", autocommit=True) as connection:
        connection.execute("INSERT INTO public.photo VALUES (101)")
    assert run().verdict == "passed", "rows came in since the set"
    with run.server.connect("shop", autocommit=True) as connection:
        connection.execute("ALTER TABLE public.photo ADD COLUMN late int; SELECT setval('public.ticket', 49)")
    try:
        reasons = "\n".join(run(at_least=1000).reasons)
    finally:
        with run.server.connect("shop", autocommit=True) as connection:
            connection.execute("ALTER TABLE public.photo DROP COLUMN late; SELECT setval('public.ticket', 50)")
    assert "object shop: table public.photo" in reasons
    assert "sequence shop: public.ticket: expected at least 50, found 49" in reasons
    assert "photo has 101 rows, at least 1000 are wanted" in reasons


def test_a_daily_set_is_not_measured_against_the_recovery_point_that_only_the_log_can_keep(server: Server) -> None:
    made = document(server)
    store = made.stores["main"].model_copy(update={"goals": Goals(rpo="5m", rto="1h")})
    assert drill.goals(made.model_copy(update={"stores": {"main": store}}), "set") == (28 * 3600, 3600)
    weekly = drill.goals(made.model_copy(update={"stores": {"main": store}}), "set", "7d")
    assert weekly == (7 * 86400 + 4 * 3600, 3600), "a weekly one is as old as a week and the hours until the drill"
    by_sets = store.model_copy(update={"backup": StoreBackup(ways=("logical",))})
    assert drill.goals(made.model_copy(update={"stores": {"main": store, "own": by_sets}}), "set") == (300, 3600)


def test_a_missed_goal_fails_the_drill(run: Run) -> None:
    run.double.recoverable = "2026-11-24T01:00:00.000Z"
    run.manifest = run.manifest.model_copy(update={"finished": "2026-11-23T01:00:00+00:00"})
    assert any("recovery point 172920 s misses the goal of 24h" in reason for reason in run().reasons)


def test_a_moment_that_cannot_be_compared_or_recovered_is_refused(run: Run) -> None:
    for moment in (NOW - timedelta(hours=2), NOW):
        with pytest.raises(PereneError, match="is not between the set"):
            run(to=moment)
    assert run.instances == ["lux"], "nothing was begun"
