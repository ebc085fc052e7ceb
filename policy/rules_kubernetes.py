"""Rules on Kubernetes resources."""

import json
import re
from collections.abc import Iterator
from typing import Any

from policy.declared import Declared

_POD = "spec.template.spec"


def _stateful_set(one: Declared) -> Iterator[str]:
    for moment in ("whenDeleted", "whenScaled"):
        if one.at(f"spec.persistentVolumeClaimRetentionPolicy.{moment}") != "Retain":
            yield f"{one.name}: persistentVolumeClaimRetentionPolicy.{moment} must be Retain"
    if one.at("spec.volumeClaimTemplates"):
        yield f"{one.name}: volumes are resources of their own; a template's volumes are out of everybody's sight"
    # A cache says so in a label; a store that becomes one loses its claim, which the gate calls a loss.
    keeps = (one.at("metadata.labels") or {}).get("perene.dev/keeps") != "nothing"
    if keeps and not any("persistentVolumeClaim" in volume for volume in one.at(f"{_POD}.volumes") or [] if isinstance(volume, dict)):
        yield f"{one.name}: no volume claim is mounted, so its data goes with its pod"


def _pod(one: Declared) -> Iterator[str]:
    pod = one.at("spec.jobTemplate.spec.template.spec") or one.at(_POD) or {}
    if (pod.get("securityContext") or {}).get("runAsNonRoot") is not True:
        yield f"{one.name}: its pods must not run as root"
    if ((pod.get("securityContext") or {}).get("seccompProfile") or {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield f"{one.name}: its pods need the runtime's system call filter (seccompProfile)"
    for container in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]:
        yield from (f"{one.name}: container {container.get('name')} {fault}" for fault in _container_faults(container))
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(shared):
            yield f"{one.name}: {shared} gives its pods what belongs to the node"
    if any("hostPath" in volume for volume in pod.get("volumes") or []):
        yield f"{one.name}: data on a node's own path is lost with the node"


def _container_faults(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext") or {}
    if context.get("runAsNonRoot") is False or context.get("runAsUser") == 0:
        yield "runs as root in spite of its pod"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may become more than it is (allowPrivilegeEscalation must be false)"
    if "ALL" not in ((context.get("capabilities") or {}).get("drop") or []):
        yield "keeps capabilities (drop ALL)"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its own image (readOnlyRootFilesystem)"
    if not (container.get("resources") or {}).get("limits", {}).get("memory"):
        yield "has no memory limit, so another one is killed for it"


def _claim(one: Declared) -> Iterator[str]:
    if one.guarded and not one.at("spec.storageClassName"):
        yield f"{one.name}: the storage class must be named; a changed default replaces nothing and hides everything"


def _volume(one: Declared) -> Iterator[str]:
    if one.at("spec.persistentVolumeReclaimPolicy") != "Retain":
        yield f"{one.name}: the disk must be retained when its claim goes"


def _storage_class(one: Declared) -> Iterator[str]:
    if one.guarded and one.at("reclaimPolicy") != "Retain":
        yield f"{one.name}: the reclaim policy must be Retain"
    if one.at("allowVolumeExpansion") is not True:
        yield f"{one.name}: volumes must be able to grow"


def _cron_job(one: Declared) -> Iterator[str]:
    if one.at("spec.suspend") is True:
        yield f"{one.name}: it is suspended"
    if one.at("spec.concurrencyPolicy") != "Forbid":
        yield f"{one.name}: two runs at once must be forbidden"
    if not one.at("spec.timeZone"):
        yield f"{one.name}: the time zone must be named"
    if (one.at("spec.startingDeadlineSeconds") or 0) < 60:
        yield f"{one.name}: without a starting deadline of a minute or more it may never run again"


def _service(one: Declared) -> Iterator[str]:
    if one.at("spec.type") in {"LoadBalancer", "NodePort"} or one.at("spec.externalIPs"):
        yield f"{one.name}: a store may not be reached from outside the cluster"


def _network(one: Declared) -> Iterator[str]:
    for rule in one.at("spec.ingress") or []:
        if not rule or not rule.get("from"):
            yield f"{one.name}: it lets everybody in"


def _provider(one: Declared) -> Iterator[str]:
    if str(one.at("deleteUnreachable")).lower() == "true":
        yield f"{one.name}: deleteUnreachable drops what a silent cluster holds"
    if not one.at("clusterIdentifier"):
        yield f"{one.name}: without clusterIdentifier a changed kubeconfig replaces everything"
    for option in ("enableConfigMapMutable", "enableSecretMutable"):
        if str(one.at(option)).lower() != "true":
            yield f"{one.name}: without {option} a changed value deletes first"


def _owner(one: Declared) -> Iterator[str]:
    text = (one.at("data") or {}).get("tier.json") if isinstance(one.at("data"), dict) else None
    if not isinstance(text, str):
        return
    try:
        owner = json.loads(text).get("owner")
    except ValueError:
        yield f"{one.name}: its tier document cannot be read"
        return
    if not isinstance(owner, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", owner):
        yield f"{one.name}: the tier has no owner who can be written to (owner: {owner!r})"


_RUNS = ("kubernetes:apps/v1:StatefulSet", "kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:CronJob", "kubernetes:batch/v1:Job")

KUBERNETES_CHECKS = (
    ("volumes-outlive-sets", "A set's volumes outlive it.", ("kubernetes:apps/v1:StatefulSet",), _stateful_set),
    ("restricted-pods", "Pods run with the least rights and with limits.", _RUNS, _pod),
    ("named-storage-class", "A claim names its class.", ("kubernetes:core/v1:PersistentVolumeClaim",), _claim),
    ("retained-volume", "A disk outlives its claim.", ("kubernetes:core/v1:PersistentVolume",), _volume),
    ("retaining-class", "A class retains and grows.", ("kubernetes:storage.k8s.io/v1:StorageClass",), _storage_class),
    ("job-runs", "A scheduled job runs, once at a time.", ("kubernetes:batch/v1:CronJob",), _cron_job),
    ("inside-only", "A store is reached from inside.", ("kubernetes:core/v1:Service",), _service),
    ("named-clients", "A network rule names its clients.", ("kubernetes:networking.k8s.io/v1:NetworkPolicy",), _network),
    ("owned", "Somebody owns the tier, by an address.", ("kubernetes:core/v1:ConfigMap",), _owner),
    ("steady-provider", "The provider replaces nothing by accident.", ("pulumi:providers:kubernetes",), _provider),
)
