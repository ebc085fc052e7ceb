"""A real page for a real fault, and its end: the disk fills, the backup breaks, the jobs stop, connections and a query hold on."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.watched import NAMESPACE, ROOT, Watched
from tests.programs import needs

pytestmark = [
    pytest.mark.e2e,
    needs("prometheus", "prometheus-alertmanager", "prometheus-postgres-exporter"),
]


@pytest.fixture(scope="module")
def watched(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    one = Watched(kubeconfig, tmp_path_factory.mktemp("watched"))
    try:
        one.up()
        yield one
    finally:
        one.down()


def connect(watched: Watched, name: str = "app") -> "psycopg.Connection[tuple[object, ...]]":
    where = f"host={watched.address} user=postgres dbname=postgres application_name={name} connect_timeout=5"
    return psycopg.connect(where, autocommit=True)


FAULTS = (
    "PereneVolumeFull",
    "PereneVolumeNearlyFull",
    "PereneConnectionsHigh",
    "PereneSlowQuery",
    "PereneBackupFailed",
    "PereneBackupJobStopped",
)


def test_nothing_pages_while_nothing_is_wrong(watched: Watched) -> None:
    watched.wait("the backup ran once", lambda: bool(watched.kubectl("get", "cronjob", "perene-backup", "-o", _SUCCESS)), 130)
    time.sleep(15)
    firing = watched.receiver.firing()
    assert not firing & set(FAULTS), "no page without a fault"
    assert not firing & {"PereneStoreDown", "PereneDatabaseDown", "PereneVolumeUnwatched", "PereneExporterSilent"}, (
        f"every figure that the signals ask for is there\n{watched.story()}"
    )


def test_a_filling_volume_pages_twice_and_clears_when_there_is_room(watched: Watched) -> None:
    watched.kubectl("exec", "main-g1-0", "--", "sh", "-c", "dd if=/dev/zero of=/var/lib/perene/filler bs=1M 2>/dev/null || true")
    watched.fires("PereneVolumeNearlyFull", 180)
    watched.fires("PereneVolumeFull", 180)
    page = watched.receiver.last("PereneVolumeFull")
    assert page is not None
    assert page["labels"]["store"] == "main"
    assert page["labels"]["owner"] == "plataforma@direitolux.example"
    assert page["annotations"]["runbook"] == "docs/runbooks/volume-full.md"
    assert page["annotations"]["first"].startswith("1. ")
    watched.kubectl("exec", "main-g1-0", "--", "rm", "/var/lib/perene/filler")
    watched.clears("PereneVolumeFull", 180)
    watched.clears("PereneVolumeNearlyFull", 180)


def test_held_connections_page_and_clear_when_they_go(watched: Watched) -> None:
    held = [connect(watched) for _ in range(15)]
    watched.fires("PereneConnectionsHigh")
    for connection in held:
        connection.close()
    watched.clears("PereneConnectionsHigh")


def test_a_slow_query_pages_and_clears_and_a_backup_does_not(watched: Watched) -> None:
    def sleep(name: str, seconds: int) -> None:
        with connect(watched, name) as connection:
            connection.execute("select pg_sleep(%s)", [seconds])

    dump = threading.Thread(target=sleep, args=("pg_dump", 20))
    dump.start()
    dump.join()
    assert watched.receiver.last("PereneSlowQuery") is None, "a backup is allowed to take long"
    slow = threading.Thread(target=sleep, args=("app", 25))
    slow.start()
    watched.fires("PereneSlowQuery", 60)
    slow.join()
    watched.clears("PereneSlowQuery", 60)


def test_a_broken_backup_then_stopped_jobs_page_and_clear_with_the_next_success(watched: Watched) -> None:
    watched.kubectl("create", "configmap", "flag", "--from-literal=broken=yes")
    watched.fires("PereneBackupFailed", 150)
    watched.kubectl("patch", "cronjob", "perene-backup", "-p", '{"spec":{"suspend":true}}')
    watched.fires("PereneBackupJobStopped", 90)
    watched.kubectl("delete", "configmap", "flag")
    watched.kubectl("patch", "cronjob", "perene-backup", "-p", '{"spec":{"suspend":false}}')
    watched.clears("PereneBackupJobStopped", 90)
    watched.clears("PereneBackupFailed", 150)


def test_health_gives_its_verdict_in_time_and_names_the_suspended_job(watched: Watched) -> None:
    watched.kubectl("patch", "cronjob", "perene-backup", "-p", '{"spec":{"suspend":true}}')
    context = watched.kubectl("config", "current-context").strip()
    evidence = f"--evidence={watched.place / 'evidence'}"
    words = [sys.executable, "-m", "perene", "health", "direito-lux-dev", f"--context={context}", f"--namespace={NAMESPACE}", "--json"]
    environment = os.environ | {"KUBECONFIG": str(watched.kubeconfig), "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    done = subprocess.run(
        [*words, evidence],
        env=environment,
        cwd=watched.place,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    assert done.returncode == 1, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["seconds"] <= 5, f"the verdict took {verdict['seconds']} s of {seconds:.1f} s in all"
    bad = {one["what"] for one in verdict["findings"] if one["state"] == "bad"}
    assert "perene-backup is suspended" in bad
    assert "there is no recovery set yet" in bad
    fine = {(one["store"], one["check"]) for one in verdict["findings"] if one["state"] == "fine"}
    assert {("main", "pod"), ("main", "space"), ("", "cluster")} <= fine
    lost = subprocess.run([*words, "--lost"], env=environment, cwd=watched.place, capture_output=True, text=True, check=False)
    found = {one["check"]: one for one in json.loads(lost.stdout)["findings"]}
    assert "kept (Retain)" in found["volume"]["what"]
    assert "belongs to" in found["rights"]["what"], "the owner of the directory is looked at in the pod"


_SUCCESS = "jsonpath={.status.lastSuccessfulTime}"
