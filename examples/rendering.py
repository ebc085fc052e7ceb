"""Kubernetes manifests of the reference applications, from what the tier's own document says: servers, logins, authorities, volumes.

    kubectl -n NAMESPACE get configmap perene-tier -o 'jsonpath={.data.tier\\.json}' > tier.json
    python examples/NAME/manifests.py tier.json | kubectl apply -f -

The application runs in the tier's ops image, its one file comes from a ConfigMap, and what is secret is mounted as files.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]
SECRETS, CODE, TMP = "/etc/app/secrets", "/etc/app/code", "/tmp"  # noqa: S108 - a memory volume of the pod


@dataclass
class Application:
    """One example's objects. tier: the tier document; file: app.py."""

    tier: Object
    file: Path
    objects: list[Object] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.tier["system"])

    def store(self, name: str) -> Object:
        found: Object = self.tier["stores"][name]
        return found

    def login(self, store: str, user: str) -> str:
        """Where the user's password is mounted."""
        return self.secret(self.store(store)["logins"][user]["password"])

    def authority(self, store: str) -> str:
        """Where the authority's certificate is mounted."""
        return self.secret(self.store(store)["endpoint"]["ca"])

    def secret(self, reference: Mapping[str, str]) -> str:
        return f"{SECRETS}/{reference['name']}/{reference['key']}"

    def database(self, store: str, user: str) -> list[str]:
        """Arguments that reach a PostgreSQL over verified TLS."""
        entry = self.store(store)
        where = f"host={entry['endpoint']['host']} port={entry['endpoint']['port']} user={user} dbname={next(iter(entry['databases']))}"
        secure = f"sslmode=verify-full sslrootcert={self.authority(store)}"
        return ["--database", f"{where} {secure}", "--password-file", self.login(store, user)]

    def deployment(self, name: str, words: Sequence[str], *, stores: Sequence[str], port: int = 0, replicas: int = 1, **more: Any) -> None:
        """Restarted when it fails, also after a reboot; scaled to none it stays down."""
        meta, pod = self._meta(name), self._pod(name, words, stores, port=port, **more)
        labels = {"app.kubernetes.io/name": name}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
        self.objects.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        if port:
            self.service(name, port, of=name)

    def service(self, name: str, port: int, *, of: str) -> None:
        """The name under which the pods of a deployment are found."""
        ports = {"selector": {"app.kubernetes.io/name": of}, "ports": [{"port": port, "targetPort": port}]}
        self.objects.append({"apiVersion": "v1", "kind": "Service", "metadata": self._meta(name), "spec": ports})

    def job(self, name: str, words: Sequence[str], *, stores: Sequence[str]) -> None:
        """Once for each version of the code."""
        spec = {"backoffLimit": 5, "template": self._pod(name, words, stores, restart="OnFailure")}
        self.objects.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": self._meta(f"{name}-{self.version}"), "spec": spec})

    def schedule(self, name: str, cron: str, words: Sequence[str], *, stores: Sequence[str]) -> None:
        """On a schedule, one at a time; a missed start is made up for within half an hour."""
        template = {"spec": {"backoffLimit": 2, "activeDeadlineSeconds": 1800, "template": self._pod(name, words, stores, restart="Never")}}
        spec = {"schedule": cron, "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 1800, "jobTemplate": template}
        self.objects.append({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": self._meta(name), "spec": spec})

    @property
    def version(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:8]

    def rendered(self) -> Object:
        """Everything as one List, the code first."""
        code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._meta(f"{self.name}-code-{self.version}")}
        return {"apiVersion": "v1", "kind": "List", "items": [{**code, "data": {"app.py": self.file.read_text()}}, *self.objects]}

    def _meta(self, name: str) -> Object:
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": self.name, "app.kubernetes.io/managed-by": "examples"}
        return {"name": name, "namespace": self.tier["namespace"], "labels": labels}

    def _pod(
        self, name: str, words: Sequence[str], stores: Sequence[str], *, restart: str = "Always", port: int = 0, volumes: Sequence[str] = ()
    ) -> Object:
        """volumes: stores of files, each mounted where the tier says."""
        secrets: dict[str, list[str]] = {}
        for word in words:
            for path in (part for part in word.replace("=", " ").split() if part.startswith(SECRETS)):
                _, secret, key = path.removeprefix(SECRETS).split("/")
                secrets.setdefault(secret, []).append(key)
        mounts = [(secret, f"{SECRETS}/{secret}", {"secret": _shown(secret, keys)}, True) for secret, keys in secrets.items()]
        mounts += [("code", CODE, {"configMap": {"name": f"{self.name}-code-{self.version}"}}, True)]
        mounts += [("tmp", TMP, {"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}, False)]
        for volume in volumes:
            entry = self.store(volume)["volume"]
            mounts.append((volume, entry["mount_path"], {"persistentVolumeClaim": {"claimName": entry["claim"]}}, False))
        closed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        container = {
            "name": name,
            "image": "perene.local/ops:1-trixie",
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", f"{CODE}/app.py", *words],
            "securityContext": closed,
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": volume, "mountPath": path, "readOnly": read} for volume, path, _, read in mounts],
        }
        if port:
            probe = {"httpGet": {"path": "/health", "port": port}, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3}
            container |= {"ports": [{"containerPort": port}], "readinessProbe": probe}
        nobody = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "fsGroupChangePolicy": "OnRootMismatch"}
        reach = {f"access.perene.dev/{store}": "true" for store in stores}
        return {
            "metadata": {"labels": {**self._meta(name)["labels"], **reach}},
            "spec": {
                "restartPolicy": restart,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {**nobody, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
                "volumes": [{"name": volume, **source} for volume, _, source, _ in mounts],
            },
        }


def _shown(secret: str, keys: Sequence[str]) -> Object:
    return {"secretName": secret, "defaultMode": 0o440, "items": [{"key": key, "path": key} for key in dict.fromkeys(keys)]}


def main(declare: Callable[[Application], None], file: str) -> None:
    """What every example's manifests.py is: read the tier document that was named, declare, print."""
    application = Application(json.loads(Path(sys.argv[1]).read_text()), Path(file).with_name("app.py"))
    declare(application)
    sys.stdout.write(json.dumps(application.rendered(), indent=2) + "\n")
