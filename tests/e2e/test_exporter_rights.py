"""The rights that the program gives the exporter are enough, and no more: its real service account against the real API and kubelet."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.components.exporter import Exporter as Component
from infra.components.exporter import ExporterArgs
from perene.errors import PereneError
from perene.health.exporter import Exporter
from perene.health.facts import Evidence
from perene.health.kube import InCluster
from tests.e2e.watched import NAMESPACE, Watched
from tests.health.test_components import Engine
from tests.programs import needs

pytestmark = [pytest.mark.e2e, needs("kubectl")]
RBAC = "rbac.authorization.k8s.io/v1"
KINDS = {"ServiceAccount": "v1", "Role": RBAC, "RoleBinding": RBAC, "ClusterRole": RBAC, "ClusterRoleBinding": RBAC}


def declared() -> list[dict[str, Any]]:
    """What the component declares about identity and rights, as manifests."""
    engine = Engine()
    pulumi.runtime.set_mocks(engine, project="perene", stack="direito-lux-dev", preview=False)
    args = ExporterArgs(stack="direito-lux-dev", namespace=NAMESPACE, labels={}, image="none", protect=False)
    pulumi.runtime.test(lambda: Component("perene-exporter", args))()
    found = []
    for made in engine.made:
        kind = made.typ.rpartition(":")[2]
        if kind in KINDS:
            inputs = {key: value for key, value in made.inputs.items() if key not in {"apiVersion", "kind"}}
            found.append({"apiVersion": KINDS[kind], "kind": kind, **inputs})
    return found


@pytest.fixture
def account(kubeconfig: Path, tmp_path: Path) -> Iterator[tuple[Path, str, Watched]]:
    (tmp_path / "w").mkdir()
    watched = Watched(kubeconfig, tmp_path / "w")
    watched.tier_only()
    try:
        watched.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": declared()}))
        view = json.loads(watched.kubectl("config", "view", "--raw", "--minify", "-o", "json"))["clusters"][0]["cluster"]
        place = tmp_path / "account"
        place.mkdir()
        (place / "ca.crt").write_bytes(base64.b64decode(view["certificate-authority-data"]))
        (place / "token").write_text(watched.kubectl("create", "token", "perene-exporter"))
        yield place, view["server"], watched
    finally:
        for kind in ("clusterrole", "clusterrolebinding"):
            watched.kubectl("delete", kind, f"perene-exporter-{NAMESPACE}", check=False)
        watched.down()


def test_every_part_answers_with_these_rights_and_secrets_stay_closed(account: tuple[Path, str, Watched]) -> None:
    place, server, _ = account
    api = InCluster(account=place, server=server)
    exporter = Exporter(api=api, namespace=NAMESPACE, evidence=lambda _: Evidence())
    failed: dict[str, str] = {}

    def complete() -> bool:
        # the kubelet tells a new volume's figures within a minute
        failed.clear()
        failed.update(exporter.gather())
        return not failed and any(family.name == "kubelet_volume_stats_available_bytes" for family in exporter.collect())

    account[2].wait(f"every part answers ({failed})", complete, 120)
    for path in (f"/api/v1/namespaces/{NAMESPACE}/secrets", "/api/v1/nodes", "/api/v1/namespaces/kube-system/pods"):
        with pytest.raises(PereneError, match="403"):
            api.text(path)
    command = [
        "kubectl",
        "--kubeconfig",
        str(account[2].kubeconfig),
        f"--as=system:serviceaccount:{NAMESPACE}:perene-exporter",
        "-n",
        NAMESPACE,
    ]
    for verb, what in (("create", "pods"), ("delete", "persistentvolumeclaims"), ("create", "pods/exec"), ("get", "nodes/proxy")):
        said = subprocess.run([*command, "auth", "can-i", verb, what], capture_output=True, text=True, check=False).stdout.strip()
        assert said == "no", f"it may {verb} {what}"
