"""`perene restore` on a real cluster: in the place of live data, beside running applications, and after the volume is lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_backups import run
from tests.e2e.tier import Done, Tier, eventually

IN_PLACE = ("newest", "--in-place", "--store", "main", "--confirm", "main")
Restore = Callable[..., Done]


@pytest.fixture(scope="module")
def restore(tier: Tier, kubeconfig: Path) -> Restore:
    """`perene restore WORDS` from an operator's computer, as a Job of the tier."""
    run(tier, "backup", "backup-to-restore")

    def call(*words: str) -> Done:
        command = [sys.executable, "-m", "perene", "restore", *words, "--namespace", tier.namespace, "--in-cluster"]
        env = os.environ | {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(tier.root)}
        return subprocess.run(command, cwd=tier.root, env=env, capture_output=True, text=True, timeout=900, check=False)

    return call


def databases(tier: Tier) -> set[str]:
    with tier.connect("admin") as admin:
        return {row[0] for row in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'direito_lux%'")}


def spoil(tier: Tier) -> None:
    with tier.connect("app") as app:
        app.execute("DELETE FROM kept WHERE id > 10")


def test_beside_the_live_data(tier: Tier, restore: Restore) -> None:
    done = restore("newest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same as it was backed up" in done.stdout
    beside = databases(tier) - {"direito_lux"}
    assert len(beside) == 1
    with tier.connect("admin") as admin:
        admin.autocommit = True
        admin.execute(f"DROP DATABASE {beside.pop()}")


def test_in_place_once_nobody_is_connected(tier: Tier, restore: Restore) -> None:
    before = tier.rows()
    spoil(tier)
    with tier.connect("app") as held:
        held.execute("SET application_name TO 'till'")
        done = restore(*IN_PLACE)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "in use: main: app in direito_lux, till" in done.stdout
    assert tier.rows() != before
    done = restore(*IN_PLACE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tier.rows() == before, "read by the role of the reports, over the same Service"
    assert databases(tier) == {"direito_lux", "direito_lux__old"}
    done = restore("--finish", "--confirm", "main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert databases(tier) == {"direito_lux"}


def test_applications_are_stopped_for_the_exchange_and_started_again(tier: Tier, restore: Restore) -> None:
    before = tier.rows()
    spoil(tier)
    store = tier.document.stores["main"]
    password = store.logins["app"].password
    assert password
    assert store.endpoint
    labels = {"app": "till", "access.perene.dev/main": "true"}
    variables = [
        {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": password.name, "key": password.key}}},
        {"name": "PGSSLMODE", "value": "require"},
    ]
    container = {
        "name": "till",
        "image": store.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "/usr/lib/postgresql/17/bin/psql",
            "-h",
            store.endpoint.host,
            "-U",
            "app",
            "-d",
            "direito_lux",
            "-c",
            "SELECT pg_sleep(100000)",
        ],
        "env": variables,
        "securityContext": {"runAsUser": 10001},
    }
    tier.kubectl.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "till", "namespace": tier.namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "till"}},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
            },
        }
    )

    def connected() -> bool:
        with tier.connect("admin") as admin:
            found = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'").fetchone()
            return bool(found and found[0] == 2)

    try:
        eventually(connected, "the application's sessions")
        done = restore(*IN_PLACE, "--stop-applications")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "in use: main: app in direito_lux" in done.stdout, "first it went as far as it could beside the application"
        assert tier.rows() == before
        eventually(connected, "the application's sessions with what was restored")
    finally:
        tier.kubectl.run("delete", "deployment", "till", "-n", tier.namespace)
    assert restore("--finish", "--confirm", "main").returncode == 0


def test_a_lost_volume(tier: Tier, restore: Restore) -> None:
    before, volume = tier.rows(), tier.kubectl.get("pvc", "data-main-g1-0", tier.namespace)
    assert volume
    tier.kubectl.run("delete", "pvc", "data-main-g1-0", "-n", tier.namespace, "--wait=false")
    tier.kubectl.run("delete", "pod", "main-g1-0", "-n", tier.namespace, "--wait=true", seconds=120)
    tier.kubectl.run("delete", "job", "-l", "app.kubernetes.io/instance=main-g1", "-n", tier.namespace)
    up = tier.make("up")
    assert up.returncode, "the proof does not call an empty database the same"
    assert "of the last run is not there" in up.stderr, up.stderr
    again = tier.kubectl.get("pvc", "data-main-g1-0", tier.namespace)
    assert again
    assert again["metadata"]["uid"] != volume["metadata"]["uid"], "the volume is another one"
    done = restore(*IN_PLACE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tier.rows() == before
    assert restore("--finish", "--confirm", "main").returncode == 0
    up = tier.make("up")
    assert up.returncode == 0, up.stderr
