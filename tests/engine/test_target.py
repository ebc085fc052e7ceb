"""A stack stays in the cluster where its rows are, and only what is on this computer counts as local."""

import json
import os
from pathlib import Path

import pytest

from perene.engine import cluster_choice, target
from perene.engine.target import Target
from perene.errors import PereneError
from tests.programs import needs


def kubeconfig(path: Path, context: str, server: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(json.dumps(document))
    return path


def test_a_stack_is_never_moved_to_another_cluster_under_its_rows(tmp_path: Path) -> None:
    target.record(tmp_path, "dev", Target("kind", tmp_path / "k", "kind-a"))
    target.record(tmp_path, "dev", Target("kind", tmp_path / "k", "kind-a"))
    with pytest.raises(PereneError, match="the stack dev lives in context kind-a, not in kind-b"):
        target.record(tmp_path, "dev", Target("kind", tmp_path / "k", "kind-b"))
    assert target.of_stack(tmp_path, "dev").context == "kind-a"


@needs("kubectl")
@pytest.mark.parametrize(
    ("context", "server", "kind"),
    [
        ("kind-a", "https://127.0.0.1:6443", "kind"),
        ("minikube", "https://192.168.49.2:8443", "minikube"),
        ("kind-a", "https://api.acme.example:6443", None),
        ("gke_acme_prod", "https://127.0.0.1:6443", None),
    ],
)
def test_local_means_that_name_and_address_both_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: str, server: str, kind: str | None
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", context, server)))
    assert target.local_kind(context) == kind


@needs("kubectl")
def test_a_cluster_elsewhere_wants_its_name_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "gke_acme_prod", "https://34.0.0.1")))
    with pytest.raises(PereneError, match="gke_acme_prod was not confirmed"):
        cluster_choice.named(tmp_path, "dev", "gke_acme_prod", lambda _: "yes")
    found = cluster_choice.named(tmp_path, "dev", "gke_acme_prod", lambda _: "gke_acme_prod")
    assert found.kind == "named"
    assert found.kubeconfig.stat().st_mode & 0o077 == 0
    assert found.kubeconfig != Path(os.environ["KUBECONFIG"]), "a copy, so that nothing can switch its context"
