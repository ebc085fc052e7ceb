"""Both ways of applying on a real cluster: every dangerous change is stopped before it, every harmless one gets through.

The CLI's way needs `pulumi` and its Kubernetes plugin on PATH; without them its recordings are replayed by
tests/safety/test_kubernetes_recordings.py.
"""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perene.contract.verdict import Verdict
from perene.engine import approved, dry_run, monitor, objects
from perene.engine.change import Stack
from perene.engine.kubectl import Kubectl, as_list
from perene.engine.program import Program
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import gate, reading
from tests.programs import needs
from tests.safety.keys import make_key

HERE = Path(__file__).parent / "gate_tier"
ROOT = Path(__file__).parents[2]
CHANGES: dict[str, tuple[str, Any]] = runpy.run_path(str(HERE / "changes.py"))["CHANGES"]
CODES = {"SAFE": ExitCode.DONE, "DISRUPTIVE": ExitCode.DONE, "WEAKENS": ExitCode.WEAKENS, "LOSES-DATA": ExitCode.LOSES_DATA}
# The embedded way never deletes these: what leaves the program is kept and shown. A lifted guard does nothing there.
KEPT = {
    "claim-removed",
    "claim-renamed",
    "claim-logical-rename",
    "namespace-removed",
    "namespace-renamed",
    "guarded-removed",
    "guard-lifted",
    "changes-ignored",
}
# What the embedded way says otherwise, and why: a renamed set is a new one beside a pruned one; a claim's class and a set's fields are the
# API server's own refusals.
EMBEDDED = {"set-renamed": "WEAKENS"}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.usefixtures("cluster"),
    needs("kubectl"),
]


@pytest.fixture(scope="module")
def cluster(kubeconfig: Path) -> Iterator[None]:
    """KUBECONFIG names the cluster for everything that these tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        yield


class Pulumi:
    """The CLI on a file backend of its own."""

    def __init__(self, directory: Path) -> None:
        self.project = shutil.copytree(HERE, directory / "project")
        self.environment = os.environ | {
            "PULUMI_BACKEND_URL": (directory / "backend").as_uri(),
            "PULUMI_HOME": str(directory / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "GATE_NAMESPACE": "perene-gate-cli",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        (directory / "backend").mkdir()
        self("stack", "init", "prod")
        done = self("up", "--yes", "--skip-preview", "--non-interactive", "-s", "prod")
        assert done.returncode == 0, done.stdout

    def __call__(self, *arguments: str, change: str = "") -> "subprocess.CompletedProcess[str]":
        environment = self.environment | {"CHANGE": change}
        return subprocess.run(
            ["pulumi", *arguments], cwd=self.project, env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    def preview(self, change: str, *more: str) -> tuple[Verdict, int]:
        done = self(
            "preview", "--json", "--show-replacement-steps", "--show-sames", "--non-interactive", "-s", "prod", *more, change=change
        )
        document = reading.parse_steps(done.stdout.encode(), change)
        document = document.model_copy(update={"failed": document.failed or done.returncode != 0})
        return gate.judge(document), done.returncode


@pytest.fixture(scope="module")
def pulumi(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulumi]:
    engine = Pulumi(tmp_path_factory.mktemp("gate"))
    yield engine
    engine("state", "unprotect", "--all", "--yes", "-s", "prod")
    engine("destroy", "--yes", "--skip-preview", "--non-interactive", "-s", "prod")


@needs("pulumi", "pulumi-resource-kubernetes")
@pytest.mark.parametrize("name", CHANGES)
def test_the_cli_way(pulumi: Pulumi, name: str) -> None:
    verdict, code = pulumi.preview(name)
    expected = CHANGES[name][0]
    if code:
        assert verdict.exit_code in {ExitCode.CANNOT_TELL, ExitCode.LOSES_DATA}
    else:
        assert verdict.exit_code == CODES[expected], verdict.findings


@needs("pulumi", "pulumi-resource-kubernetes")
def test_the_policy_pack_stops_a_preview(pulumi: Pulumi) -> None:
    verdict, code = pulumi.preview("", "--policy-pack", str(ROOT / "policy"))
    assert code == 1, "a secret's value stands in the program, and nothing is protected"
    assert verdict.exit_code == ExitCode.CANNOT_TELL


@needs("pulumi", "pulumi-resource-kubernetes")
def test_an_apply_is_refused_after_the_state_moved_under_it(pulumi: Pulumi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in pulumi.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHANGE", "label-added")
    project, keys, plan = pulumi.project, pulumi.project.parent / "keys", pulumi.project.parent / "plan.json"
    identity = ("-c", "user.name=x", "-c", "user.email=rui@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *arguments], cwd=project, check=True)
    key, stack, now = make_key(keys, "ana"), Stack(project, "prod"), datetime.now(UTC)
    verdict = approved.judged(stack, now, None, keys)
    signed = approved.approve(stack, verdict, private_key=key, approver="ana", now=now, valid=timedelta(hours=1))
    plan.write_text(signed.to_json())
    assert pulumi("up", "--yes", "--skip-preview", "--non-interactive", "-s", "prod", change="settings-changed").returncode == 0

    def no_backup(_: str) -> None:
        raise AssertionError("it must refuse before it asks for a restore point")

    with pytest.raises(PereneError, match="the state's resources is not what was approved"):
        approved.apply(stack, plan, keys, approved.judged(stack, now, None, keys), now=now, restore_point=no_backup)


def program(change: str) -> Program:
    """The tier as the embedded way sees it."""
    os.environ |= {"CHANGE": change, "GATE_NAMESPACE": "perene-gate-embedded", "GATE_WITHOUT": "key"}
    sys.path.insert(0, str(HERE))
    try:
        return monitor.run_program(
            lambda: runpy.run_path(str(HERE / "__main__.py")), project="perene", stack="gate-dev", config={}, root=HERE
        )
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def kubectl(cluster: None) -> Iterator[Kubectl]:
    context = subprocess.run(["kubectl", "config", "current-context"], capture_output=True, text=True, check=True).stdout.strip()
    client = Kubectl(Path(os.environ["KUBECONFIG"]), context, "kubectl", None)
    wanted = objects.declared(program(""))
    for item in sorted(wanted, key=lambda item: item.manifest["kind"] != "Namespace"):
        client.run(*dry_run.apply_arguments(dry=False), stdin=as_list([item.manifest]), seconds=60)
    yield client
    client.run("delete", "namespace", "perene-gate-embedded", "--wait=false", seconds=60)
    client.run("delete", "storageclass", "perene-gate-embedded", seconds=60)


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.startswith("secret-")])
def test_the_embedded_way(kubectl: Kubectl, name: str) -> None:
    changed = program(name)
    outlook = dry_run.look(kubectl, changed, objects.declared(changed))
    verdict = gate.judge(outlook.steps)
    expected = EMBEDDED.get(name, CHANGES[name][0])
    if name in KEPT:
        assert not [step for step in outlook.steps.steps if step.op in {"delete", "replace"}], "data is kept, whatever leaves the program"
    elif outlook.steps.failed:
        assert verdict.exit_code in {ExitCode.CANNOT_TELL, ExitCode.LOSES_DATA}, "the server refuses, so nothing is applied"
    else:
        assert verdict.exit_code == CODES[expected], verdict.findings
