"""A cluster as the API shows it, small enough to read: one tier, one PostgreSQL, its jobs, and a switch for each fault."""

import json
from typing import Any

from perene.contract.tier import TierDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode

BORN = "2026-11-01T00:00:00Z"
NAMESPACE = "direito-lux"


def tier(**changes: Any) -> TierDocument:
    """The tier document of the fixture."""
    content: dict[str, Any] = {
        "document": "tier",
        "version": 1,
        "stack": "direito-lux-dev",
        "system": "direito-lux",
        "environment": "dev",
        "owner": "plataforma@direitolux.example",
        "guarded": True,
        "namespace": NAMESPACE,
        "stores": {
            "main": {
                "kind": "postgres",
                "generation": 1,
                "version": "17",
                "endpoint": {"kind": "postgres", "host": "127.0.0.1", "port": 1, "ca": None, "connection_name": None},
                "workload": "main-g1",
                "image": "postgres:17",
                "volume": {"claim": "data-main-g1-0", "size": "20GiB", "storage_class": "perene-local", "mount_path": "/var/lib/perene"},
                "databases": {"direito_lux": ["public"]},
                "logins": {},
                "backup": {"ways": ["logical"], "automated_keep": 0, "pitr_days": 0},
                "goals": {"rpo": "1d", "rto": "1h"},
                "checks": [],
                "guarded": True,
            }
        },
        "repository": None,
        "backups": {"at": "01:00 America/Sao_Paulo", "keep": {"daily": 7, "weekly": 4}, "drill_every": "1d", "sealed_every": None},
        "encryption_key": None,
    }
    return TierDocument.parse(json.dumps(content | changes), "fixture")


def _meta(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "creationTimestamp": BORN, **more}


def objects() -> dict[str, Any]:
    """Path -> answer. A test changes what it wants broken."""
    pod = {
        "metadata": _meta("main-g1-0", labels={"app.kubernetes.io/instance": "main-g1"}),
        "spec": {
            "nodeName": "node",
            "securityContext": {"runAsUser": 10001, "fsGroup": 10001},
            "containers": [
                {
                    "name": "postgres",
                    "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                    "volumeMounts": [{"name": "data", "mountPath": "/var/lib/perene"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-main-g1-0"}}],
        },
        "status": {
            "phase": "Running",
            "hostIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "postgres", "restartCount": 2, "ready": True, "state": {"running": {}}}],
        },
    }
    claim = {
        "metadata": _meta("data-main-g1-0"),
        "spec": {"volumeName": "pv-1", "resources": {"requests": {"storage": "20Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "20Gi"}},
    }
    volume = {
        "metadata": {"name": "pv-1"},
        "spec": {"persistentVolumeReclaimPolicy": "Retain", "claimRef": {"name": "data-main-g1-0", "namespace": NAMESPACE}},
        "status": {"phase": "Bound"},
    }
    cron = {
        "metadata": _meta("perene-backup"),
        "spec": {"suspend": False, "schedule": "0 1 * * *"},
        "status": {"lastScheduleTime": "2026-11-24T04:00:00Z", "lastSuccessfulTime": "2026-11-24T04:01:00Z"},
    }
    job = {"metadata": _meta("perene-backup-1"), "status": {"startTime": "2026-11-24T04:00:00Z", "succeeded": 1}}
    stateful = {
        "metadata": _meta("main-g1"),
        "spec": {"replicas": 1, "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}},
        "status": {"readyReplicas": 1},
    }
    core, apps, batch = (f"/{path}/namespaces/{NAMESPACE}" for path in ("api/v1", "apis/apps/v1", "apis/batch/v1"))
    return {
        f"{core}/configmaps/perene-tier": {"metadata": _meta("perene-tier"), "data": {"tier.json": tier().to_json()}},
        f"{core}/pods": {"items": [pod]},
        f"{core}/persistentvolumeclaims": {"items": [claim]},
        f"{core}/events": {"items": []},
        "/api/v1/persistentvolumes": {"items": [volume]},
        f"{apps}/statefulsets": {"items": [stateful]},
        f"{batch}/cronjobs": {"items": [cron]},
        f"{batch}/jobs": {"items": [job]},
        f"{core}/configmaps/alerts": {"metadata": _meta("alerts"), "data": {"perene.rules.yml": "{}"}},
        f"{core}/pods/main-g1-0/log": "2026-11-24T10:00:00Z LOG:  database system is ready to accept connections\n",
        "/version": {"gitVersion": "v1.36.3"},
    }


def summary(available: int = 15 * 2**30) -> dict[str, Any]:
    """A kubelet's summary with the volume and a container, and a pod of another namespace."""
    volume = {
        "availableBytes": available,
        "capacityBytes": 20 * 2**30,
        "usedBytes": 20 * 2**30 - available,
        "inodes": 1000,
        "inodesFree": 900,
    }
    mine = {
        "podRef": {"name": "main-g1-0", "namespace": NAMESPACE},
        "volume": [
            {"name": "data", "pvcRef": {"name": "data-main-g1-0", "namespace": NAMESPACE}, **volume},
            {"name": "tmp", "usedBytes": 1},
        ],
        "containers": [{"name": "postgres", "memory": {"workingSetBytes": 5_000_000}, "cpu": {"usageCoreNanoSeconds": 7_000_000_000}}],
    }
    return {"pods": [mine, {"podRef": {"name": "x", "namespace": "elsewhere"}, "volume": mine["volume"]}]}


class FakeApi:
    """Answers from a dictionary; a path that is missing is a cluster that does not answer it."""

    def __init__(self, answers: dict[str, Any] | None = None, stats: dict[str, Any] | None = None) -> None:
        self.answers = objects() if answers is None else answers
        self.summary = summary() if stats is None else stats

    def text(self, path: str) -> str:
        found = self.answers.get(path.partition("?")[0])
        if found is None:
            raise PereneError("the cluster does not answer", where=path, exit_code=ExitCode.CANNOT_TELL)
        return found if isinstance(found, str) else json.dumps(found)

    def stats(self, node: str, address: str) -> dict[str, Any]:
        assert (node, address) == ("node", "10.0.0.1") or address == ""
        return self.summary
