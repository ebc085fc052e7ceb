"""The key on a cluster: seen nowhere, compared with the sets, rotated, an earlier one kept while a set needs it. Then the daily habits."""

import base64
import json
import re
from pathlib import Path

import pytest

from perene.custody.init import public_key_file
from perene.engine.jobs import run_now
from tests.custody.test_canary import forms
from tests.e2e.tier import Tier, eventually

BEFORE = (
    "a recent backup exists, and one was restored and compared",
    "every volume is there, mounted, writable, with room",
    "no migration is unfinished",
)
ONE = "encryptionKey: {kind: kubernetes}"
TWO = 'encryptionKey: {kind: kubernetes, generation: 2, earlier: {"1": in-use}}'


def key_in(tier: Tier, name: str = "perene-encryption-key") -> bytes:
    found = tier.kubectl.get("secret", name, tier.namespace)
    assert found, f"{name} exists"
    return base64.b64decode(found["data"]["key"])


@pytest.fixture(scope="module")
def backed_up(tier: Tier) -> str:
    """The log of a backup of the tier as it is."""
    return run_now(tier.kubectl, tier.namespace, "perene-backup", seconds=300)


def test_the_key_is_seen_by_no_process_and_in_no_file(tier: Tier, backed_up: str) -> None:
    run_now(tier.kubectl, tier.namespace, "perene-drill", seconds=300)
    wanted = forms(key_in(tier)).items()
    seen: dict[str, bytes] = {"log of the backup": backed_up.encode(), "plan": tier.perene("plan", tier.stack).stdout.encode()}
    for process in Path("/proc").glob("[0-9]*"):
        for part in ("cmdline", "environ"):
            try:
                seen[f"{process}/{part}"] = (process / part).read_bytes()
            except OSError:
                continue
    # etcd is the vault itself; a pod's Secrets lie in its memory file system.
    state = tier.root / ".perene"
    places = [*(state / "logs").rglob("*"), *(state / "local/logs").rglob("*"), *(state / "stacks").rglob("*"), tier.root / "commands.log"]
    seen |= {str(path): path.read_bytes() for path in places if path.is_file()}
    assert len(seen) > 100
    found = [f"{place}: {form}" for place, content in seen.items() for form, value in wanted if value in content]
    assert not found
    assert public_key_file(tier.root, tier.document).exists()


def test_check_compares_vault_and_sets(tier: Tier, backed_up: str) -> None:
    done = tier.perene("key", "check", tier.stack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "opens its sentinel" in done.stdout
    assert "opens the sentinels of" in done.stdout
    assert key_in(tier).hex() not in done.stdout


def test_a_rotation_keeps_the_key_that_sets_need(tier: Tier, backed_up: str) -> None:
    first = key_in(tier)
    refused = tier.perene("key", "rotate", tier.stack)
    assert refused.returncode == 3
    assert 'generation: 2` and `earlier: {"1": in-use}' in refused.stderr
    tier.edit(ONE, TWO)
    made = tier.perene("key", "rotate", tier.stack)
    assert made.returncode == 0, made.stderr
    assert "perene-encryption-key-g2" in made.stdout
    up = tier.make("up")
    assert up.returncode == 0, up.stderr
    assert key_in(tier) == first
    assert key_in(tier, "perene-encryption-key-g2") != first
    run_now(tier.kubectl, tier.namespace, "perene-backup", seconds=300)
    assert "passed" in run_now(tier.kubectl, tier.namespace, "perene-drill", seconds=300)
    checked = tier.perene("key", "check", tier.stack)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    tier.edit("in-use", "retired")
    kept = tier.perene("key", "rotate", tier.stack, "--retire", "1")
    assert kept.returncode == 5, kept.stdout + kept.stderr
    assert re.search(r"\d+ sets on hand need generation 1", kept.stderr), "how many depends on what else ran on this tier"
    assert key_in(tier) == first
    tier.edit("retired", "in-use")


def test_maintenance_stops_backs_up_and_finds_everything_again(tier: Tier) -> None:
    before = tier.rows()
    script = f"kubectl -n {tier.namespace} get pod main-g1-0 --ignore-not-found -o name > {tier.root}/during"
    done = tier.perene(
        "maintain", tier.stack, "--store", "main", "--", "sh", "-c", f"PATH={Path(tier.kubectl.binary).parent}:$PATH {script}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tier.root / "during").read_text() == "", "the server was stopped while the command ran"
    assert "no count is smaller" in done.stdout
    assert tier.rows() == before


def test_the_checklist_answers_itself(tier: Tier) -> None:
    said = [""]

    def answered() -> bool:
        said[0] = tier.perene("checklist", "before", tier.stack, "--json").stdout
        answers = {line["what"]: line["answer"] for line in json.loads(said[0])["lines"]}
        return {answers[what] for what in BEFORE} == {"done"}

    # The exporter asks the repository every five minutes.
    try:
        eventually(answered, "the checklist's own answers", seconds=400)
    except AssertionError:
        raise AssertionError(said[0]) from None


def test_a_stop_with_a_backup_keeps_every_volume(tier: Tier) -> None:
    before = tier.rows()
    done = tier.perene("down", tier.stack, "--backup")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read back" in done.stdout
    assert "data-main-g1-0" in done.stdout
    refused = tier.perene("down", tier.stack, "--backup")
    assert refused.returncode == 3
    assert "nothing can be backed up" in refused.stderr
    assert tier.make("up").returncode == 0
    assert tier.rows() == before
