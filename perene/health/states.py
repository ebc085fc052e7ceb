"""Objects of Kubernetes and figures of the kubelet as samples, under the names that kube-state-metrics and the kubelet use. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_FACTOR = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3}
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """One value of a metric. counter: it only grows."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    counter: bool = False


def sample(name: str, value: float, *, counter: bool = False, **labels: str) -> Sample:
    """A sample; labels as keywords."""
    return Sample(name, tuple(labels.items()), value, counter)


def moment(text: str) -> float:
    """`2026-11-24T22:00:00Z` as seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def quantity(text: str) -> float:
    """A Kubernetes quantity: `500m`, `128Mi`, `2`."""
    for unit, factor in _FACTOR.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def of_stateful_sets(objects: Iterable[Object]) -> Iterator[Sample]:
    """Ready replicas."""
    for one in objects:
        meta = one["metadata"]
        yield sample(
            "kube_statefulset_status_replicas_ready",
            one.get("status", {}).get("readyReplicas", 0),
            namespace=meta["namespace"],
            statefulset=meta["name"],
        )


def of_pods(objects: Iterable[Object]) -> Iterator[Sample]:
    """Restarts, and what containers ask for and may use."""
    for one in objects:
        meta = one["metadata"]
        where = {"namespace": meta["namespace"], "pod": meta["name"]}
        for status in one.get("status", {}).get("containerStatuses", []):
            yield sample(
                "kube_pod_container_status_restarts_total",
                status["restartCount"],
                counter=True,
                **where,
                container=status["name"],
            )
        for container in one["spec"]["containers"]:
            for kind in ("requests", "limits"):
                for resource, amount in container.get("resources", {}).get(kind, {}).items():
                    yield sample(
                        f"kube_pod_container_resource_{kind}", quantity(amount), **where, container=container["name"], resource=resource
                    )


def of_claims(objects: Iterable[Object]) -> Iterator[Sample]:
    """The phase of volume claims."""
    for one in objects:
        meta = one["metadata"]
        for phase in ("Pending", "Bound", "Lost"):
            yield sample(
                "kube_persistentvolumeclaim_status_phase",
                one.get("status", {}).get("phase") == phase,
                namespace=meta["namespace"],
                persistentvolumeclaim=meta["name"],
                phase=phase,
            )


def of_jobs(objects: Iterable[Object]) -> Iterator[Sample]:
    """Since when jobs run and whether they still do."""
    for one in objects:
        meta, status = one["metadata"], one.get("status", {})
        where = {"namespace": meta["namespace"], "job_name": meta["name"]}
        yield sample("kube_job_status_active", status.get("active", 0), **where)
        if "startTime" in status:
            yield sample("kube_job_status_start_time", moment(status["startTime"]), **where)


def of_cron_jobs(objects: Iterable[Object]) -> Iterator[Sample]:
    """When schedules last ran, last succeeded, and whether they are suspended."""
    for one in objects:
        meta, status = one["metadata"], one.get("status", {})
        where = {"namespace": meta["namespace"], "cronjob": meta["name"]}
        yield sample("kube_cronjob_spec_suspend", bool(one["spec"].get("suspend")), **where)
        yield sample("kube_cronjob_status_active", len(status.get("active", [])), **where)
        for field, name in (("lastScheduleTime", "schedule"), ("lastSuccessfulTime", "successful")):
            if status.get(field):
                yield sample(f"kube_cronjob_status_last_{name}_time", moment(status[field]), **where)


_VOLUME = {
    "availableBytes": "available_bytes",
    "capacityBytes": "capacity_bytes",
    "usedBytes": "used_bytes",
    "inodes": "inodes",
    "inodesFree": "inodes_free",
    "inodesUsed": "inodes_used",
}


def of_kubelet(summary: Object, namespace: str) -> Iterator[Sample]:
    """Volumes, memory and CPU of one namespace's pods from a node's summary."""
    for pod in summary.get("pods", []):
        if pod["podRef"]["namespace"] != namespace:
            continue
        for volume in pod.get("volume", []):
            claim = volume.get("pvcRef")
            for field, name in _VOLUME.items():
                if claim and field in volume:
                    yield sample(
                        f"kubelet_volume_stats_{name}", volume[field], namespace=claim["namespace"], persistentvolumeclaim=claim["name"]
                    )
        for container in pod.get("containers", []):
            where = {"namespace": namespace, "pod": pod["podRef"]["name"], "container": container["name"]}
            memory, cpu = container.get("memory", {}), container.get("cpu", {})
            if "workingSetBytes" in memory:
                yield sample("container_memory_working_set_bytes", memory["workingSetBytes"], **where)
            if "usageCoreNanoSeconds" in cpu:
                yield sample("container_cpu_usage_seconds_total", cpu["usageCoreNanoSeconds"] / 1e9, counter=True, **where)
