"""A watched tier on the local cluster: PostgreSQL, its backup job, and Prometheus, Alertmanager and a webhook receiver on loopback."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perene.health.signals import Target, prometheus_groups, rules_for, targets_of
from tests.health.cluster import tier

ROOT = Path(__file__).parents[2]
NAMESPACE = "perene-alerts-e2e"
IMAGE = os.environ.get("PERENE_E2E_POSTGRES", "perene.local/postgres:17-trixie")
# promtool proves the minutes (tests/health); here each minute of a signal's hold lasts this long, so that a run takes minutes, not an hour.
MINUTE = "2s"
START = """
set -e
export PATH=/usr/lib/postgresql/17/bin:$PATH
cd /var/lib/perene
test -f pg/PG_VERSION || initdb -D pg -U postgres --auth=trust >/dev/null
echo 'host all all all trust' >> pg/pg_hba.conf
exec postgres -D pg -c listen_addresses='*' -c max_connections=20 -c superuser_reserved_connections=3 -c unix_socket_directories=/tmp
"""


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def manifests() -> dict[str, Any]:
    """The tier's objects, as small as they can be and real: the volume has a size, the job runs every minute."""
    labels = {"app": "main-g1"}
    security = {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "fsGroupChangePolicy": "OnRootMismatch", "runAsNonRoot": True}
    postgres = {
        "name": "postgres",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", START],
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 2},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/perene"}],
    }
    backup = {
        "name": "backup",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", "test ! -e /flag/broken"],
        "volumeMounts": [{"name": "flag", "mountPath": "/flag"}],
    }
    job = {
        "restartPolicy": "Never",
        "securityContext": security,
        "containers": [backup],
        "volumes": [{"name": "flag", "configMap": {"name": "flag", "optional": True}}],
    }
    pod = {
        "securityContext": security,
        "terminationGracePeriodSeconds": 5,
        "containers": [postgres],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-main-g1-0"}}],
    }
    found = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data-main-g1-0"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "400Mi"}}},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "main-g1"},
            "spec": {
                "serviceName": "main-g1",
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "perene-backup"},
            "spec": {
                "schedule": "* * * * *",
                "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": job}}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "perene-tier"},
            "data": {"tier.json": document().to_json()},
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": found}


def document() -> Any:
    """The tier document of this namespace. Its certificate is not looked at: this PostgreSQL has none."""
    plain = tier().model_dump(mode="json")
    plain["stores"]["main"] |= {"endpoint": None}
    return tier(namespace=NAMESPACE, guarded=False, stores=plain["stores"])


@dataclass
class Receiver:
    """A webhook receiver: what Alertmanager posted, in order."""

    posted: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> int:
        """Listen on loopback; the port."""
        posted = self.posted

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return int(server.server_address[1])

    def firing(self) -> set[str]:
        """The alerts that page now."""
        names = {one["labels"]["alertname"] for one in self.posted}
        return {name for name in names if (self.last(name) or {})["status"] == "firing"}

    def last(self, alert: str) -> dict[str, Any] | None:
        """The newest notice about an alert."""
        return next((one for one in reversed(self.posted) if one["labels"]["alertname"] == alert), None)


class Watched:
    """Everything together. kubeconfig: of the local cluster."""

    def __init__(self, kubeconfig: Path, place: Path) -> None:
        self.kubeconfig, self.place = kubeconfig, place
        self.receiver = Receiver()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = (place / "processes.log").open("wb")

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """kubectl in the test's namespace."""
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--request-timeout=20s", "-n", NAMESPACE, *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def tier_only(self) -> None:
        """Make the tier and wait until its database is ready."""
        self.kubectl("create", "namespace", NAMESPACE, check=False)
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifests()))
        self.wait("the database is ready", lambda: "True" in self.kubectl("get", "pod", "main-g1-0", "-o", _READY, check=False), 120)

    def up(self) -> None:
        """Make the tier and start whoever watches it."""
        self.tier_only()
        address = self.kubectl("get", "pod", "main-g1-0", "-o", "jsonpath={.status.podIP}")
        self.address = address
        exporter, postgres, prometheus, alertmanager, hook = *(free_port() for _ in range(4)), self.receiver.start()
        self.prometheus = f"http://127.0.0.1:{prometheus}"
        context = self.kubectl("config", "current-context").strip()
        evidence = self.place / "evidence"
        evidence.mkdir()
        words = [sys.executable, "-m", "perene", "exporter", "direito-lux-dev", f"--context={context}", f"--namespace={NAMESPACE}"]
        words += [f"--listen=127.0.0.1:{exporter}", f"--evidence={evidence}", "--every=2"]
        self._start(words, KUBECONFIG=str(self.kubeconfig), PYTHONPATH=str(ROOT))
        queries = ROOT / "infra/components/files/postgres-exporter-queries.yml"
        source = f"postgresql://postgres@{address}:5432/postgres?sslmode=disable&application_name=perene-exporter"
        # the version of Debian 12 asks a PostgreSQL 17 for a column that it no longer has, which fills the server's log with errors
        words = ["prometheus-postgres-exporter", "--no-collector.bgwriter", f"--extend.query-path={queries}"]
        self._start([*words, f"--web.listen-address=127.0.0.1:{postgres}"], DATA_SOURCE_NAME=source)
        for port in (exporter, postgres):
            self.wait("the exporters show figures", lambda port=port: b"_" in _page(port), 30)  # type: ignore[misc]
        self._configure(exporter, postgres, alertmanager, hook)
        self._start(
            [
                "prometheus-alertmanager",
                f"--config.file={self.place / 'alertmanager.yml'}",
                f"--storage.path={self.place / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            ]
        )
        self._start(
            [
                "prometheus",
                f"--config.file={self.place / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.place / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            ]
        )

    def _start(self, words: list[str], **environment: str) -> None:
        self.processes.append(
            subprocess.Popen(words, cwd=self.place, env=os.environ | environment, stdout=self.log, stderr=subprocess.STDOUT)
        )

    def _configure(self, exporter: int, postgres: int, alertmanager: int, hook: int) -> None:
        rules = rules_for(self.targets())
        groups = prometheus_groups(rules, "direito-lux-dev")
        (group,) = groups["groups"]
        group["interval"] = "2s"
        for rule in group["rules"]:
            rule["for"] = f"{int(rule['for'].removesuffix('m')) * int(MINUTE.removesuffix('s'))}s"
        (self.place / "rules.yml").write_text(json.dumps(groups))
        pod = {"namespace": NAMESPACE, "pod": "main-g1-0"}
        prometheus = {
            "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
            "scrape_configs": [
                {"job_name": "perene", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]},
                {"job_name": "postgres", "static_configs": [{"targets": [f"127.0.0.1:{postgres}"], "labels": pod}]},
            ],
        }
        (self.place / "prometheus.yml").write_text(json.dumps(prometheus))
        page = {"name": "page", "webhook_configs": [{"url": f"http://127.0.0.1:{hook}/", "send_resolved": True}]}
        route = {
            "receiver": "page",
            "group_by": ["alertname", "store"],
            "group_wait": "1s",
            "group_interval": "2s",
            "repeat_interval": "1h",
        }
        (self.place / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": [page]}))

    def targets(self) -> tuple[Target, ...]:
        """What is watched here."""
        return targets_of(document().model_dump(mode="json"))

    def wait(self, what: str, true: Callable[[], bool], seconds: float) -> float:
        """Wait until it is true; how long it took. The failure says what every page was."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if true():
                return time.monotonic() - began
            time.sleep(1)
        raise AssertionError(f"not within {seconds:g} s: {what}\n{self.story()}")

    def story(self) -> str:
        """Every page so far, and the end of what the processes said."""
        pages = sorted({(one["labels"]["alertname"], one["status"]) for one in self.receiver.posted})
        self.log.flush()
        lines = (self.place / "processes.log").read_text(errors="replace").splitlines()
        worth = [line for line in lines if "level=info" not in line]
        return "\n".join([f"pages: {pages}", *worth[-25:]])

    def fires(self, alert: str, seconds: float = 150) -> float:
        """Wait for a page."""
        return self.wait(f"{alert} pages", lambda: (self.receiver.last(alert) or {}).get("status") == "firing", seconds)

    def clears(self, alert: str, seconds: float = 150) -> float:
        """Wait until the page is taken back."""
        return self.wait(f"{alert} clears", lambda: (self.receiver.last(alert) or {}).get("status") == "resolved", seconds)

    def down(self) -> None:
        """End what was started, and remove the tier with its volume."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=20)
        self.log.close()
        volume = self.kubectl("get", "pvc", "data-main-g1-0", "-o", "jsonpath={.spec.volumeName}", check=False)
        self.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s", check=False)
        if volume:
            self.kubectl("delete", "pv", volume, "--timeout=30s", check=False)


def _page(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            body: bytes = answer.read()
    except OSError:
        return b""
    return body


_READY = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
