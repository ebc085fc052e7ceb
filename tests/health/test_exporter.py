"""The exporter shows what is there, under the names the signals ask for, and makes silence visible."""

import json
import re
import shutil
import socket
import ssl
import struct
import threading
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from perene.contract.schemas import example as contract_example
from perene.contract.tier import TierDocument
from perene.health.certificates import not_after
from perene.health.exporter import Exporter
from perene.health.facts import DrillFact, Evidence, SetFact
from perene.health.logwatch import LogCounter, kind_of
from perene.health.signals import SIGNALS
from perene.health.sources import directory, repository
from tests.health.cluster import NAMESPACE, FakeApi, objects, tier

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def drill(name: str, finished: float, *, passed: bool = True) -> DrillFact:
    return DrillFact(
        set=name, source="set", finished=finished, passed=passed, rto=60, rto_goal=3600, rpo=7200, rpo_goal=86400, bytes=5, reasons=()
    )


def one_set(name: str, finished: float) -> SetFact:
    return SetFact(id=name, finished=finished, bytes=1000, seconds=12, stores=("main",))


EVIDENCE = Evidence(
    sets=(one_set("old", NOW - 90000), one_set("new", NOW - 3600)),
    drills=(drill("old", NOW - 80000), drill("new", NOW - 1800)),
    sealed=NOW - 5,
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setattr("perene.health.exporter.not_after", lambda *_, **__: NOW + 1000)

    def show(api: FakeApi, evidence: Evidence = EVIDENCE, *, with_states: bool = True) -> tuple[dict[str, float], dict[str, str]]:
        exporter = Exporter(api=api, namespace=NAMESPACE, evidence=lambda _: evidence, with_states=with_states, clock=lambda: NOW)
        failed = exporter.gather()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(exporter)
        lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}, failed

    return show


def test_it_tells_ages_sizes_verdicts_and_states(shown) -> None:  # type: ignore[no-untyped-def]
    found, failed = shown(FakeApi())
    assert failed == {}
    own = 'stack="direito-lux-dev",store="main"'
    where = f'namespace="{NAMESPACE}"'
    expected = {
        f"perene_newest_set_timestamp_seconds{{{own}}}": NOW - 3600,
        f"perene_newest_proven_set_timestamp_seconds{{{own}}}": NOW - 3600,
        f"perene_newest_set_bytes{{{own}}}": 1000,
        f"perene_newest_set_beyond_a_day_seconds{{{own}}}": 0,
        f"perene_newest_set_duration_seconds{{{own}}}": 12,
        'perene_drill_verdict{stack="direito-lux-dev"}': 1,
        'perene_sealed_copy_timestamp_seconds{stack="direito-lux-dev"}': NOW - 5,
        'perene_exporter_last_success_timestamp_seconds{stack="direito-lux-dev"}': NOW,
        f'kubelet_volume_stats_available_bytes{{{where},persistentvolumeclaim="data-main-g1-0"}}': 15 * 2**30,
        f'kube_pod_container_status_restarts_total{{container="postgres",{where},pod="main-g1-0"}}': 2,
        f'kube_pod_container_resource_limits{{container="postgres",{where},pod="main-g1-0",resource="memory"}}': 2**30,
        f'kube_statefulset_status_replicas_ready{{{where},statefulset="main-g1"}}': 1,
        f'kube_cronjob_spec_suspend{{cronjob="perene-backup",{where}}}': 0,
        f'container_cpu_usage_seconds_total{{container="postgres",{where},pod="main-g1-0"}}': 7,
    }

    def same(name: str) -> str:
        metric, _, labels = name.partition("{")
        return f"{metric}{{{','.join(sorted(labels.rstrip('}').split(',')))}}}"

    sorted_found = {same(name): value for name, value in found.items()}
    for name, value in expected.items():
        assert sorted_found.get(same(name)) == value, name


def test_every_metric_that_a_cluster_signal_asks_for_is_shown_by_it_or_by_a_known_exporter(shown) -> None:  # type: ignore[no-untyped-def]
    found, _ = shown(FakeApi())
    # what only a tier with Cloud SQL or with buckets has is shown in test_cloud_sql_runs.py and test_buckets.py
    elsewhere = {"perene_automated_backup_timestamp_seconds", "perene_retention_lock_as_declared"}
    names = {name.partition("{")[0] for name in found} | elsewhere
    beside = ("pg_", "perene_pg_", "redis_", "rabbitmq_", "cloudsql_googleapis_com:")
    for signal in SIGNALS:
        text = re.sub(r'"[^"]*"', "", Template(signal.expression).safe_substitute())
        for metric in re.findall(r"\b([a-z_]+(?::[a-z_]+)?)\s*\{", text):
            assert metric in names or metric.startswith(beside), f"{signal.name}: nobody exports {metric}"


def test_a_set_whose_last_drill_failed_is_not_proven(shown) -> None:  # type: ignore[no-untyped-def]
    evidence = Evidence(
        sets=EVIDENCE.sets, drills=(drill("new", NOW - 500), drill("new", NOW - 100, passed=False), drill("old", NOW - 80000))
    )
    found, _ = shown(FakeApi(), evidence)
    own = 'stack="direito-lux-dev",store="main"'
    assert found[f"perene_newest_proven_set_timestamp_seconds{{{own}}}"] == NOW - 90000
    assert found['perene_drill_verdict{stack="direito-lux-dev"}'] == 0


def test_an_unreadable_repository_is_said_and_shows_no_set(shown) -> None:  # type: ignore[no-untyped-def]
    found, _ = shown(FakeApi(), Evidence(problem="wrong password"))
    assert found['perene_repository_readable{stack="direito-lux-dev"}'] == 0
    assert not any(name.startswith("perene_newest_set") for name in found)


def test_where_kube_state_metrics_runs_its_names_are_left_to_it(shown) -> None:  # type: ignore[no-untyped-def]
    found, _ = shown(FakeApi(), with_states=False)
    assert not any(name.startswith("kube_") for name in found)
    assert any(name.startswith("kubelet_volume_stats") for name in found)


def test_a_part_that_fails_is_named_and_the_round_does_not_count_as_complete(shown) -> None:  # type: ignore[no-untyped-def]
    answers = objects()
    del answers[f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"]
    found, failed = shown(FakeApi(answers))
    assert set(failed) == {"states"}
    assert found['perene_exporter_part_failed{part="states",stack="direito-lux-dev"}'] == 1
    assert not any(name.startswith("perene_exporter_last_success") for name in found), "exporter-silent pages on that"


@pytest.mark.parametrize(
    ("change", "guard"),
    [
        (lambda a: a["/api/v1/persistentvolumes"]["items"][0]["spec"].update(persistentVolumeReclaimPolicy="Delete"), "reclaim-policy"),
        (
            lambda a: a[f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets"]["items"][0]["spec"][
                "persistentVolumeClaimRetentionPolicy"
            ].update(whenScaled="Delete"),
            "claim-retention",
        ),
    ],
)
def test_a_guard_that_was_opened_behind_the_programs_back_is_shown(shown, change, guard: str) -> None:  # type: ignore[no-untyped-def]
    answers = objects()
    change(answers)
    found, _ = shown(FakeApi(answers))
    opened = {name for name, value in found.items() if name.startswith("perene_guard_open") and value}
    assert opened == {f'perene_guard_open{{guard="{guard}",resource="main",stack="direito-lux-dev"}}'}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('ERROR:  invalid page in block 3 of relation "base/5/16384"', "damage"),
        ("PANIC:  could not locate a valid checkpoint record", "panic"),
        ('FATAL:  password authentication failed for user "app"', "fatal"),
        ("FATAL:  the database system is starting up", None),
        ('ERROR:  duplicate key value violates unique constraint "u"', "error"),
        ("LOG:  checkpoint starting: time", None),
        ("LOG:  statement: select 'ERROR in text'", None),
    ],
)
def test_a_log_line_counts_as_what_it_is(line: str, kind: str | None) -> None:
    assert kind_of(f"2026-11-24 UTC [7] {line}") == kind


def test_a_log_line_is_counted_once_however_often_it_is_read() -> None:
    counter = LogCounter()
    first = "2026-11-24T10:00:00.1Z ERROR:  a\n2026-11-24T10:00:00.2Z ERROR:  b\n"
    counter.feed(first)
    counter.feed(first + "2026-11-24T10:00:00.3Z PANIC:  c\n")
    assert counter.counts == {"error": 2, "panic": 1}


def test_evidence_of_a_directory_is_read_whole_or_called_unreadable(tmp_path: Path) -> None:
    assert directory(tmp_path / "gone")(tier()).problem, "an absent repository is not an empty one"
    (tmp_path / "sets").mkdir()
    assert directory(tmp_path)(tier()) == Evidence(), "an empty one is empty"
    (tmp_path / "sets/a.json").write_text("{")
    assert directory(tmp_path)(tier()).problem


def beside_a_repository(root: Path) -> TierDocument:
    """A repository's directory with what the jobs leave beside it: two sets, one of another stack, one removed."""
    (root / "config").write_bytes(b"restic's")
    example = json.loads(contract_example("recovery-set").read_text())
    removal = json.loads(contract_example("removal").read_text())
    for name, stack in (("20261124T010000Z-1a2b3c", "direito-lux-dev"), ("new", "direito-lux-dev"), ("other", "someone-dev")):
        write(root, f"sets/{name}", example | {"id": name, "stack": stack})
    write(root, "removed/20261124T010000Z-1a2b3c", removal)
    where = {"kind": "volume", "url": str(root), "password": {"vault": "kubernetes", "scope": "x", "name": "y", "key": "z"}}
    return tier(repository=where)


def write(root: Path, name: str, content: object) -> None:
    file = root / "evidence" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_a_removed_set_is_told_of_and_no_longer_counted_on(tmp_path: Path) -> None:
    found = repository()(beside_a_repository(tmp_path))
    assert not found.problem
    assert {one.id for one in found.sets} == {"20261124T010000Z-1a2b3c", "new"}
    assert [one.id for one in found.on_hand] == ["new"]


def test_a_repository_that_lost_its_configuration_is_unreadable(tmp_path: Path) -> None:
    document = beside_a_repository(tmp_path)
    (tmp_path / "config").unlink()
    assert "configuration is gone" in repository()(document).problem
    assert repository()(tier()).problem, "no repository is no empty one"


def test_a_lock_ages_while_it_is_the_same_run_and_anew_with_the_next(tmp_path: Path) -> None:
    document, now = beside_a_repository(tmp_path), [0.0]
    read = replace(repository(), clock=lambda: now[0])

    def at(seconds: float, run: str = "", restic: str = "") -> float:
        now[0] = seconds
        shutil.rmtree(tmp_path / "locks", ignore_errors=True)
        (tmp_path / "locks").mkdir()
        if run:
            (tmp_path / "locks/perene-writer").write_text(json.dumps({"run": run, "beat": seconds}))
        if restic:
            (tmp_path / "locks" / restic).write_text("sealed")
        return read(document).lock_age

    ages = [at(0), at(10, "a"), at(310, "a"), at(610, "b", "r1"), at(910, "b", "r2"), at(1210, "", "r2"), at(1510)]
    assert ages == [0, 0, 300, 0, 300, 300, 0]


def test_prometheus_can_scrape_it(shown) -> None:  # type: ignore[no-untyped-def]
    exporter = Exporter(api=FakeApi(), namespace=NAMESPACE, evidence=lambda _: EVIDENCE)
    exporter.gather()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=5) as answer:
            assert b"perene_sets" in answer.read()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_end_of_a_certificate_is_read_as_postgres_shows_it(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    ends = datetime(2027, 3, 1, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "main")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=400))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "both.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(8) == struct.pack("!ii", 8, 80877103), "the client asks for TLS as PostgreSQL's does"
                connection.sendall(b"S")
                with tls.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not_after("127.0.0.1", listener.getsockname()[1]) == ends.timestamp()
        thread.join()
