"""The embedded way: what it shows, what it refuses before any change, and what it never deletes."""

from typing import Any

import pytest

from perene.contract.steps import StepDocument
from perene.engine import apply
from perene.engine.dry_run import look
from perene.engine.kubectl import Manifest
from perene.engine.objects import batches, declared
from perene.engine.program import Program
from perene.engine.readiness import SLOW_KINDS
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.engine.cluster_double import DoubleOfKubectl, live, program, resource

CLAIM = resource("PersistentVolumeClaim", "data-main-g1-0", spec={"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "a"})
CONFIG = resource("ConfigMap", "main", data={"a.conf": "1"})


def hooks(shown: list[str] | None = None) -> apply.Hooks:
    return apply.Hooks(say=lambda _: None, show=(shown if shown is not None else []).append, judge=lambda _: None)


def steps(cluster: DoubleOfKubectl, wanted: Program) -> StepDocument:
    return look(cluster, wanted, declared(wanted)).steps


def test_nothing_there_means_a_create_of_everything() -> None:
    found = steps(DoubleOfKubectl(), program(CLAIM, CONFIG))
    assert [step.op for step in found.steps] == ["create", "create"]
    assert found.way == "embedded"
    assert found.asked
    assert found.with_sames


def test_a_second_apply_changes_nothing() -> None:
    cluster = DoubleOfKubectl([live(CLAIM), live(CONFIG)])
    shown: list[str] = []
    done = apply.apply(cluster, program(CLAIM, CONFIG), hooks(shown))
    assert [step.op for step in done.steps] == ["same", "same"]
    assert cluster.calls == [], "nothing may be sent when nothing differs"
    assert shown == ["  2 unchanged"]


def test_a_change_is_shown_with_its_path_before_it_is_made() -> None:
    changed = resource("ConfigMap", "main", data={"a.conf": "2"})
    cluster = DoubleOfKubectl([live(CONFIG)])
    shown: list[str] = []
    apply.apply(cluster, program(changed), hooks(shown))
    assert shown[0] == '  ~  update ConfigMap main: data["a.conf"]'
    assert cluster.calls == [("apply", ("ConfigMap", "lux", "main"))]


def test_a_foreign_object_is_never_adopted() -> None:
    foreign = live(CONFIG)
    foreign["metadata"]["labels"] = {"app": "someone"}
    cluster = DoubleOfKubectl([foreign])
    with pytest.raises(
        PereneError, match=r"ConfigMap lux/main: exists and is not of this stack(.|\n)*kubectl -n lux delete configmap main"
    ):
        apply.apply(cluster, program(CONFIG, CLAIM), hooks())
    assert cluster.calls == [], "not even the other objects may be touched"


def test_a_claim_is_never_replaced() -> None:
    moved = resource(
        "PersistentVolumeClaim", "data-main-g1-0", spec={"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "b"}
    )
    message = "spec: Forbidden: spec is immutable after creation except resources.requests"
    cluster = DoubleOfKubectl([live(CLAIM)], {("PersistentVolumeClaim", "lux", "data-main-g1-0"): message})
    found = steps(cluster, program(moved))
    assert found.steps[0].op == "replace"
    assert found.steps[0].replace_reasons == ("spec.storageClassName",)
    assert found.steps[0].changes[0].kind == "update-replace"
    with pytest.raises(PereneError, match=r"would have to be replaced \(spec.storageClassName\)") as refused:
        apply.apply(cluster, program(moved), hooks())
    assert refused.value.exit_code == ExitCode.LOSES_DATA
    assert cluster.calls == []


def test_a_shrunk_claim_is_refused_with_the_servers_own_words() -> None:
    smaller = resource(
        "PersistentVolumeClaim", "data-main-g1-0", spec={"resources": {"requests": {"storage": "1Mi"}}, "storageClassName": "a"}
    )
    message = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    cluster = DoubleOfKubectl([live(CLAIM)], {("PersistentVolumeClaim", "lux", "data-main-g1-0"): message})
    with pytest.raises(PereneError, match="field can not be less"):
        apply.apply(cluster, program(smaller), hooks())
    assert steps(cluster, program(smaller)).failed
    assert cluster.calls == []


def test_what_left_the_program_is_pruned_but_never_a_claim_a_secret_or_what_a_controller_made() -> None:
    gone = live(resource("ConfigMap", "old", data={}))
    made = live(resource("Job", "by-cron", spec={}))
    made["metadata"]["ownerReferences"] = [{"name": "cron"}]
    secret = live(resource("Secret", "main-g1-app", data={}))
    cluster = DoubleOfKubectl([live(CONFIG), live(CLAIM), gone, made, secret])
    shown: list[str] = []
    apply.apply(cluster, program(CONFIG), hooks(shown))
    assert cluster.calls == [("delete", "configmaps", "old")]
    assert "  -  delete ConfigMap old" in shown, "the list is shown"
    assert any("PersistentVolumeClaim lux/data-main-g1-0 left the program and is kept" in line for line in shown)


def test_what_belongs_to_no_namespace_goes_by_its_tiers_label_and_never_anothers() -> None:
    def role(namespace: str) -> Manifest:
        labels = {"perene.dev/stack": "dev", "perene.dev/namespace": namespace}
        return {"apiVersion": "rbac/v1", "kind": "ClusterRole", "metadata": {"name": f"exporter-{namespace}", "labels": labels}}

    cluster = DoubleOfKubectl([live(CONFIG), role("lux"), role("another")])
    apply.apply(cluster, program(CONFIG), hooks())
    gone = ("delete", "clusterroles.rbac.authorization.k8s.io", "exporter-lux")
    assert cluster.calls == [gone], "another checkout's stack of the same name is left alone"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lux", "namespace": ""}}
    cluster = DoubleOfKubectl([namespace, live(CONFIG), role("lux"), role("another")])
    assert apply.destroy(cluster, program(CONFIG), hooks()) == ["ConfigMap lux/main", "ClusterRole exporter-lux"]
    assert cluster.calls[-1] == gone


def test_the_gate_is_asked_before_anything_is_sent() -> None:
    cluster = DoubleOfKubectl()

    def refuse(_: StepDocument) -> None:
        raise PereneError("the gate says no", exit_code=ExitCode.LOSES_DATA)

    with pytest.raises(PereneError, match="the gate says no"):
        apply.apply(cluster, program(CONFIG), apply.Hooks(say=lambda _: None, show=lambda _: None, judge=refuse))
    assert cluster.calls == []


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_only_dev_is_applied_without_the_cli(environment: str) -> None:
    cluster = DoubleOfKubectl()
    with pytest.raises(PereneError, match=f"{environment} is never applied without the Pulumi CLI"):
        apply.apply(cluster, program(CONFIG, environment=environment), hooks())
    assert cluster.calls == []


def test_destroy_is_refused_while_anything_is_guarded_and_touches_nothing() -> None:
    guarded = resource("PersistentVolumeClaim", "data-main-g1-0", protect=True, spec={})
    cluster = DoubleOfKubectl([live(guarded)])
    with pytest.raises(PereneError, match="is guarded: resource data-main-g1-0") as refused:
        apply.destroy(cluster, program(guarded), hooks())
    assert refused.value.exit_code == ExitCode.WEAKENS
    assert cluster.calls == []


def test_what_must_be_ready_first_starts_a_new_group() -> None:
    server = resource("StatefulSet", "main-g1", after=[CLAIM], spec={})
    job = resource("Job", "main-g1-roles", after=[server], spec={})
    groups = batches(declared(program(CLAIM, server, job)), SLOW_KINDS)
    assert [[item.manifest["kind"] for item in group] for group in groups] == [["PersistentVolumeClaim", "StatefulSet"], ["Job"]]


def test_inputs_hold_no_server_side_noise() -> None:
    found = steps(DoubleOfKubectl([live(CONFIG)]), program(CONFIG)).steps[0]
    old: Any = found.old
    assert "uid" not in old.inputs["metadata"]
    assert "status" not in old.inputs
