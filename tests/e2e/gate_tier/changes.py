"""The tier as data, and the changes: what each does to data is what the gate must say."""

import copy
import json
from collections.abc import Callable
from typing import Any

Resources = dict[str, dict[str, Any]]


# The embedded way knows its own objects by it.
OURS = {"perene.dev/stack": "gate-dev"}


def _rules(*names: str) -> str:
    return json.dumps({"groups": [{"name": "g", "rules": [{"alert": name, "expr": f"{name}_metric > 0", "for": "5m"} for name in names]}]})


def base(namespace: str) -> Resources:
    """What is there before any change."""

    def named(name: str) -> dict[str, Any]:
        return {"name": name, "namespace": namespace, "labels": dict(OURS)}

    pod = {
        "containers": [{"name": "main", "image": "registry.example/store:1", "volume_mounts": [{"name": "data", "mount_path": "/data"}]}],
        "volumes": [{"name": "data", "persistent_volume_claim": {"claim_name": "data"}}],
    }
    claim = {"access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "300Mi"}}, "storage_class_name": "perene-local"}
    job = {"spec": {"template": {"spec": {"restart_policy": "Never", "containers": [{"name": "b", "image": "registry.example/ops:1"}]}}}}
    return {
        "component": {"name": "tier"},
        "space": {"kind": "Namespace", "spec": {"metadata": {"name": namespace, "labels": dict(OURS)}}},
        "data": {"kind": "PersistentVolumeClaim", "spec": {"metadata": named("data"), "spec": claim}},
        "guarded": {
            "kind": "PersistentVolumeClaim",
            "spec": {"metadata": named("guarded"), "spec": dict(claim)},
            "options": {"protect": True},
        },
        "other": {"kind": "PersistentVolumeClaim", "spec": {"metadata": named("other"), "spec": dict(claim)}},
        "key": {"kind": "Secret", "spec": {"metadata": named("key"), "string_data": {"key": "first"}}},
        "settings": {"kind": "ConfigMap", "spec": {"metadata": named("settings"), "data": {"a": "1"}}},
        "alerts": {"kind": "ConfigMap", "spec": {"metadata": named("alerts"), "data": {"r.json": _rules("disk", "backup")}}},
        "store": {
            "kind": "StatefulSet",
            "spec": {
                "metadata": named("store"),
                "spec": {
                    "replicas": 0,
                    "service_name": "store",
                    "selector": {"match_labels": {"app": "store"}},
                    "persistent_volume_claim_retention_policy": {"when_deleted": "Retain", "when_scaled": "Retain"},
                    "template": {"metadata": {"labels": {"app": "store"}}, "spec": pod},
                },
            },
        },
        "backup": {
            "kind": "CronJob",
            "spec": {"metadata": named("backup"), "spec": {"schedule": "0 3 * * *", "concurrency_policy": "Forbid", "job_template": job}},
        },
        "class": {
            "kind": "StorageClass",
            "spec": {
                "metadata": {"name": namespace, "labels": dict(OURS)},
                "provisioner": "example.org/none",
                "reclaim_policy": "Retain",
                "allow_volume_expansion": True,
            },
        },
        "clients": {
            "kind": "NetworkPolicy",
            "spec": {
                "metadata": named("clients"),
                "spec": {
                    "pod_selector": {},
                    "policy_types": ["Ingress"],
                    "ingress": [{"from": [{"pod_selector": {"match_labels": {"a": "b"}}}]}],
                },
            },
        },
        "role": {
            "kind": "Role",
            "spec": {"metadata": named("role"), "rules": [{"api_groups": [""], "resources": ["configmaps"], "verbs": ["get"]}]},
        },
        "budget": {
            "kind": "PodDisruptionBudget",
            "spec": {"metadata": named("budget"), "spec": {"min_available": 1, "selector": {"match_labels": {"app": "store"}}}},
        },
    }


def put(path: str, value: Any) -> Callable[[Resources], None]:
    """Set one value; the first part of the path is the resource."""

    def change(resources: Resources) -> None:
        *parents, last = path.split("/")
        place: Any = resources
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(last) if isinstance(place, list) else last] = value

    return change


def drop(*names: str) -> Callable[[Resources], None]:
    """Take resources out of the program."""

    def change(resources: Resources) -> None:
        for name in names:
            del resources[name]

    return change


_POD = "store/spec/spec/template/spec"
# name: (what the gate must say, the change)
CHANGES: dict[str, tuple[str, Callable[[Resources], None]]] = {
    "claim-removed": ("LOSES-DATA", drop("other")),
    "claim-renamed": ("LOSES-DATA", put("other/spec/metadata/name", "other2")),
    "claim-logical-rename": ("LOSES-DATA", put("other/logical", "another")),
    "claim-other-class": ("LOSES-DATA", put("other/spec/spec/storage_class_name", "fast")),
    "claim-other-access": ("LOSES-DATA", put("other/spec/spec/access_modes", ["ReadWriteMany"])),
    "namespace-removed": ("LOSES-DATA", drop("space")),
    "namespace-renamed": ("LOSES-DATA", put("space/spec/metadata/name", "gate-elsewhere")),
    "secret-removed": ("LOSES-DATA", drop("key")),
    "secret-regenerated": ("LOSES-DATA", put("key/spec/string_data/key", "second")),
    "secret-renamed": ("LOSES-DATA", put("key/spec/metadata/name", "key2")),
    "set-renamed": ("LOSES-DATA", put("store/spec/metadata/name", "store2")),
    "set-other-service": ("LOSES-DATA", put("store/spec/spec/service_name", "store2")),
    "set-other-claim": ("LOSES-DATA", put(f"{_POD}/volumes/0/persistent_volume_claim/claim_name", "other")),
    "set-removed": ("WEAKENS", drop("store")),
    "set-volumes-go-with-it": ("WEAKENS", put("store/spec/spec/persistent_volume_claim_retention_policy/when_deleted", "Delete")),
    "backup-suspended": ("WEAKENS", put("backup/spec/spec/suspend", True)),
    "backup-rarer": ("WEAKENS", put("backup/spec/spec/schedule", "0 3 * * 0")),
    "backup-never": ("WEAKENS", put("backup/spec/spec/schedule", "0 3 30 2 *")),
    "backup-removed": ("WEAKENS", drop("backup")),
    "class-deletes": ("WEAKENS", put("class/spec/reclaim_policy", "Delete")),
    "alert-removed": ("WEAKENS", put("alerts/spec/data", {"r.json": _rules("disk")})),
    "alerts-removed": ("WEAKENS", drop("alerts")),
    "guard-lifted": ("WEAKENS", put("guarded/options", {})),
    "changes-ignored": ("WEAKENS", put("backup/options", {"ignore_changes": ["spec"]})),
    "network-opened": ("WEAKENS", put("clients/spec/spec/ingress", [{}])),
    "role-widened": ("WEAKENS", put("role/spec/rules", [{"api_groups": ["*"], "resources": ["*"], "verbs": ["*"]}])),
    "budget-removed": ("WEAKENS", drop("budget")),
    "guarded-removed": ("REFUSED", drop("guarded")),
    "nothing": ("SAFE", lambda _: None),
    "label-added": ("SAFE", put("other/spec/metadata/labels/team", "core")),
    "claim-grown": ("SAFE", put("other/spec/spec/resources/requests/storage", "400Mi")),
    "backup-earlier": ("SAFE", put("backup/spec/spec/schedule", "0 2 * * *")),
    "component-renamed": ("SAFE", put("component/name", "tier2")),
    "settings-changed": ("DISRUPTIVE", put("settings/spec/data/a", "2")),
    "image-changed": ("DISRUPTIVE", put(f"{_POD}/containers/0/image", "registry.example/store:2")),
    "set-policy-changed": ("DISRUPTIVE", put("store/spec/spec/pod_management_policy", "Parallel")),
}


def tier(namespace: str, change: str) -> Resources:
    """The tier with one change made, none for an empty name."""
    resources = copy.deepcopy(base(namespace))
    if change:
        CHANGES[change][1](resources)
    return resources
