"""`make up` for real, and everything short of destroying the volume: after each, the same rows. The tests run in this order."""

import json
import os
import signal
from typing import Any

import pytest

from perene.exit_codes import ExitCode
from tests.e2e.tier import ROWS, Tier, eventually, manifest, seconds_of

pytestmark = pytest.mark.e2e


def test_make_up_ends_with_a_row_written_and_read_over_verified_tls(tier: Tier) -> None:
    assert "main: a row written as app through main-g1 over verified TLS and read back" in tier.first_up.stderr
    assert tier.rows()[0] == ROWS


def test_a_second_run_changes_nothing_and_takes_at_most_15_seconds(tier: Tier) -> None:
    rows, before, pod = tier.rows(), tier.versions(), tier.pod()["metadata"]["uid"]
    done = tier.make("up")
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stderr
    assert "0 made" in done.stderr, "no secret is made anew"
    assert tier.versions() == before
    assert tier.pod()["metadata"]["uid"] == pod
    assert seconds_of(done) <= 15
    assert tier.rows() == rows


def test_the_rows_survive_kill_9_of_the_server(tier: Tier) -> None:
    rows, before = tier.rows(), tier.restarts()
    os.kill(tier.postmaster(), signal.SIGKILL)
    eventually(lambda: tier.restarts() > before, "the container's restart")
    eventually(tier.ready, "the server to be ready again")
    assert tier.rows() == rows


def test_the_rows_survive_a_deleted_pod(tier: Tier) -> None:
    rows, uid = tier.rows(), tier.pod()["metadata"]["uid"]
    tier.kubectl.run("delete", "pod", "main-g1-0", "-n", tier.namespace, "--wait=false")
    eventually(lambda: tier.pod()["metadata"]["uid"] not in ("", uid) and tier.ready(), "the new pod")
    assert tier.rows() == rows


def test_the_rows_survive_a_stopped_and_started_node(tier: Tier) -> None:
    rows = tier.rows()
    assert tier.make("down").returncode == 0
    done = tier.make("up")
    assert done.returncode == 0, done.stderr
    assert "the last run's row is still there" in done.stderr
    assert tier.rows() == rows


def test_the_rows_survive_a_killed_node(tier: Tier) -> None:
    rows = tier.rows()
    tier.kill_node()
    done = tier.make("up")
    assert done.returncode == 0, done.stderr
    assert tier.rows() == rows


def test_a_wrong_configuration_touches_nothing(tier: Tier) -> None:
    rows, before = tier.rows(), tier.versions()
    tier.edit("volume: {size: 2GiB}", "volume: {size: 1}")
    done = tier.make("up")
    tier.edit("volume: {size: 1}", "volume: {size: 2GiB}")
    assert done.returncode != 0
    assert "Pulumi.dev.yaml" in done.stderr
    assert "stores.main" in done.stderr
    assert "Traceback" not in done.stderr
    assert tier.versions() == before
    assert tier.rows() == rows


def test_a_smaller_volume_is_refused_before_anything_is_touched(tier: Tier) -> None:
    rows, before = tier.rows(), tier.versions()
    tier.edit("volume: {size: 2GiB}", "volume: {size: 1GiB}")
    done = tier.make("up")
    tier.edit("volume: {size: 1GiB}", "volume: {size: 2GiB}")
    assert done.returncode != 0
    assert "data-main-g1-0" in done.stderr
    assert "Traceback" not in done.stderr
    assert tier.versions() == before
    assert tier.rows() == rows


def test_a_foreign_object_is_never_adopted(tier: Tier) -> None:
    before = tier.versions()
    tier.kubectl.run("delete", "configmap", "main-g1-roles", "-n", tier.namespace)
    tier.kubectl.run("create", "-f", "-", stdin=manifest("ConfigMap", "main-g1-roles", tier.namespace))
    done = tier.make("up")
    found = tier.kubectl.get("configmap", "main-g1-roles", tier.namespace)
    tier.kubectl.run("delete", "configmap", "main-g1-roles", "-n", tier.namespace)
    assert done.returncode != 0
    assert "ConfigMap direito-lux/main-g1-roles: exists and is not of this stack" in done.stderr
    assert found is not None
    assert found["data"] == {"whose": "another's"}
    after = tier.versions()
    assert {name: version for name, version in before.items() if name in after} == after, "nothing else was touched either"
    assert tier.make("up").returncode == 0


IMAGE = "perene.local/postgres:17-trixie"


def test_an_image_that_is_not_there_fails_clearly_and_another_one_helps(tier: Tier) -> None:
    rows, other = tier.rows(), "perene.local/postgres:other"
    tier.edit(IMAGE, other, "infra/tier.py")
    done = tier.make("up")
    assert done.returncode != 0
    assert "StatefulSet direito-lux/main-g1: did not become ready" in done.stderr
    assert "Image" in done.stderr, "the cause is named"
    assert "log:" in done.stderr
    assert "Traceback" not in done.stderr
    tier.tag_image(IMAGE, other)
    changed = tier.make("up")
    assert changed.returncode == 0, changed.stderr
    assert tier.pod()["spec"]["containers"][0]["image"] == other
    assert tier.rows() == rows
    tier.edit(other, IMAGE, "infra/tier.py")
    back = tier.make("up")
    assert back.returncode == 0, back.stderr
    assert tier.rows() == rows


def filling_pod(server: dict[str, Any]) -> str:
    """A pod beside the server that leaves no block free on its volume, whatever the server gives back.

    By fallocate, because a file that grows by writing is given more than it asked for, and gives it back when it is closed.
    """
    spec = server["spec"]
    container = next(one for one in spec["containers"] if one["name"] == "postgres")
    mounts = [one for one in container["volumeMounts"] if one["mountPath"] == "/var/lib/perene"]
    script = """at=0
        while :; do
            for size in 16777216 262144 4096; do
                while fallocate -o $at -l $size /var/lib/perene/filler 2>/dev/null; do at=$((at + size)); done
            done
            sleep 0.1
        done"""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "filler", "namespace": server["metadata"]["namespace"]},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": spec["securityContext"],
                "containers": [
                    {
                        "name": "filler",
                        "image": container["image"],
                        "command": ["sh", "-c", script],
                        "securityContext": container["securityContext"],
                        "volumeMounts": mounts,
                    }
                ],
                "volumes": [one for one in spec["volumes"] if one["name"] == mounts[0]["name"]],
            },
        }
    )


def test_a_full_volume_fails_clearly_and_recovers_when_it_is_grown(tier: Tier) -> None:
    rows = tier.rows()
    # A server that stops gives room back (write-ahead log that it kept for later), and may start once more in it. Another pod takes that.
    tier.kubectl.run("create", "-f", "-", stdin=filling_pod(tier.pod()))
    probe = "head -c 4096 /dev/zero > /var/lib/perene/probe && echo room; rm -f /var/lib/perene/probe"
    tier.kubectl.run("wait", "pod", "filler", "-n", tier.namespace, "--for=condition=Ready", "--timeout=60s", seconds=70)
    in_filler = ("exec", "filler", "-n", tier.namespace, "--", "sh", "-c")
    eventually(lambda: "room" not in tier.kubectl.run(*in_filler, probe, seconds=60), "the full volume")
    tier.kubectl.run("delete", "pod", "main-g1-0", "-n", tier.namespace, "--wait=true", seconds=60)
    done = tier.make("up")
    tier.kubectl.run("delete", "pod", "filler", "-n", tier.namespace, "--wait=true", "--grace-period=0", "--force", seconds=60)
    assert done.returncode != 0
    assert "the volume is full" in done.stderr
    assert "Traceback" not in done.stderr
    tier.edit("volume: {size: 2GiB}", "volume: {size: 3GiB}")
    grown = tier.make("up")
    assert grown.returncode == 0, grown.stderr
    assert tier.rows() == rows
    size = int(tier.execute("sh", "-c", "df -B1 --output=size /var/lib/perene | tail -1"))
    assert size > 2.7 * 2**30, "the file system itself has grown"
    tier.execute("rm", "/var/lib/perene/filler")


def test_a_killed_apply_is_finished_by_running_it_again(tier: Tier) -> None:
    rows = tier.rows()
    tier.edit("memory: 1GiB", "memory: 768MiB")
    run = tier.start("up", "dev")
    assert run.stderr
    for line in run.stderr:
        if line.startswith("[stack ") and "main-g1" in line:
            break
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    done = tier.make("up")
    assert done.returncode == 0, done.stderr
    server = tier.kubectl.get("statefulset", "main-g1", tier.namespace)
    assert server is not None
    assert server["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] == "768Mi"
    assert tier.rows() == rows


def test_a_destroy_whose_name_was_not_typed_touches_nothing(tier: Tier) -> None:
    rows, before = tier.rows(), tier.versions()
    done = tier.make("destroy")
    assert done.returncode != 0
    assert "direito-lux-dev was not confirmed: nothing was touched" in done.stderr
    assert tier.versions() == before
    assert tier.rows() == rows


GUARDED = """    guards: {devGuarded: true}
    alerts: {notify: [{kind: email, address: a@b.example}], disk: 0.95, connections: 0.8}
    stores:
"""


def test_a_guarded_tier_is_not_destroyed_even_when_its_name_is_typed(tier: Tier) -> None:
    rows, before = tier.rows(), tier.versions()
    tier.edit("    stores:\n", GUARDED)
    done = tier.perene("destroy", "dev", "--confirm", "direito-lux-dev")
    tier.edit(GUARDED, "    stores:\n")
    assert done.returncode == ExitCode.WEAKENS
    assert "is guarded: store main" in done.stderr
    assert tier.versions() == before
    assert tier.rows() == rows


def test_what_is_private_is_the_operators_alone(tier: Tier) -> None:
    wide = [path for path in (tier.root / ".perene").iterdir() if path.is_dir() and path.stat().st_mode & 0o077]
    assert wide == []
    files = [tier.root / ".perene" / "run.lock", *(tier.root / ".perene" / "stacks" / "dev").iterdir()]
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_no_secret_is_in_a_log_or_an_argument(tier: Tier) -> None:
    found = tier.kubectl.get("secret", "main-g1-app", tier.namespace)
    assert found is not None
    logs = [path for path in (tier.root / ".perene").rglob("*.log*") if path.is_file()]
    assert logs
    for path in logs:
        text = path.read_text(errors="replace")
        assert found["data"]["password"] not in text, path
