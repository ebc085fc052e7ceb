"""The same main path through the Pulumi CLI, and the move from the embedded way to it; in the cluster that is already there."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.tier import WITHOUT_BACKUP, Tier
from tests.programs import needs

pytestmark = [pytest.mark.e2e, needs("pulumi", "pulumi-resource-kubernetes")]


def another(tier: Tier, name: str) -> Tier:
    """A stack of its own beside the first, in the same cluster."""
    text = (tier.root / "Pulumi.dev.yaml").read_text()
    text = text.replace("system: direito-lux", f"system: {name}").replace("namespace: direito-lux", f"namespace: {name}")
    (tier.root / f"Pulumi.{name}-dev.yaml").write_text(text)
    return Tier(tier.root, f"{name}-dev", os.environ["PATH"])


def remove(tier: Tier) -> None:
    done = tier.perene("destroy", tier.stack, "--confirm", tier.stack)
    (tier.root / f"Pulumi.{tier.stack}.yaml").unlink()
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def by_cli(tier: Tier) -> Iterator[Tier]:
    found = another(tier, "cli")
    yield found
    remove(found)


def test_a_killed_first_up_is_finished_by_running_it_again(by_cli: Tier) -> None:
    run = by_cli.start("up", by_cli.stack)
    assert run.stderr
    for line in run.stderr:
        if "Waiting for StatefulSet" in line:
            break
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    done = by_cli.make("up")
    assert done.returncode == 0, done.stderr
    assert "all of them are ours, so they are taken over" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("first drill: passed, fingerprint equal, canary damage found ("), done.stderr
    by_cli.write_rows()


def test_a_second_up_by_the_cli_changes_nothing(by_cli: Tier) -> None:
    rows, before = by_cli.rows(), by_cli.versions()
    done = by_cli.make("up")
    assert done.returncode == 0, done.stderr
    assert by_cli.versions() == before
    assert by_cli.rows() == rows
    copy = (by_cli.root / f"Pulumi.{by_cli.stack}.yaml").read_text()
    assert "encryptionsalt" not in copy, "the checkout stays clean"


def test_the_state_holds_no_secret(by_cli: Tier) -> None:
    found = by_cli.kubectl.get("secret", "main-g1-app", by_cli.namespace)
    assert found is not None
    states = [path for path in (by_cli.root / ".perene" / "state").rglob("*.json") if path.is_file()]
    assert states
    for path in states:
        assert found["data"]["password"] not in path.read_text()


def test_a_tier_moves_from_embedded_to_the_cli_without_an_operation_left(tier: Tier) -> None:
    moved = another(tier, "moved")
    moved.path = tier.path
    assert moved.make("up", WITHOUT_BACKUP).returncode == 0
    moved.write_rows()
    rows, pod = moved.rows(), moved.pod()["metadata"]["uid"]
    moved.path = os.environ["PATH"]
    done = moved.perene("adopt-state", moved.stack)
    assert done.returncode == 0, done.stderr
    assert "its preview has no operations" in done.stderr
    assert moved.pod()["metadata"]["uid"] == pod, "nothing restarts"
    assert moved.rows() == rows
    moved.edit("slowQuery: 5s", "slowQuery: 6s")
    changed = moved.make("up", WITHOUT_BACKUP)
    assert changed.returncode == 0, changed.stderr
    assert moved.rows() == rows
    remove(moved)
