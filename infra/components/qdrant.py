"""Qdrant on a volume of the cluster.

Owns: the volume claim, the server, its configuration, its Service, what may reach it. Deliberately does not own: the namespace and the
Secrets, the collections (the application makes them), backups, alerts, and any data.

Produces the following resources:
    PersistentVolumeClaim data-<name>-0, ConfigMap <name>-config, ServiceAccount, Service and StatefulSet <name>, PodDisruptionBudget,
    NetworkPolicy
"""

import pulumi
from pulumi_kubernetes.core.v1 import HTTPGetActionArgs, ProbeArgs

from infra import naming
from infra.components import server
from infra.components.postgres_files import script
from infra.components.server import Pod, Server, ServerArgs

HTTP, GRPC = 6333, 6334
RUN = "/run/qdrant"


class Qdrant(Server):
    """A Qdrant server. port: REST, TLS only; 6334 speaks gRPC over TLS."""

    port: int

    def __init__(self, name: str, args: ServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self.port = HTTP
        ready = HTTPGetActionArgs(path="/readyz", port="http", scheme="HTTPS")
        pod = Pod(
            kind="qdrant",
            command=["qdrant", "--config-path", f"{RUN}/config.yaml"],
            environment={
                "VERSION": args.version,
                "QDRANT_INIT_FILE_PATH": f"{RUN}/initialized",
                # The official image keeps the program in its working directory.
                "PATH": "/qdrant:/usr/local/bin:/usr/bin:/bin",
            },
            ports={"http": HTTP, "grpc": GRPC},
            files={"config.yaml": settings(args.store), "prepare.sh": script("qdrant-prepare.sh")},
            holds="data/storage/raft_state.json",
            started=ProbeArgs(
                http_get=ready, period_seconds=server.START_PERIOD, timeout_seconds=5, failure_threshold=server.START_FAILURES
            ),
            ready=ProbeArgs(http_get=ready, period_seconds=5, timeout_seconds=5, failure_threshold=3),
            # A busy client holds SIGTERM for 30 s and is still acknowledged; the pause takes the pod out of the Service first.
            grace=90,
            pre_stop=("/bin/sh", "-c", "sleep 5"),
            run=RUN,
        )
        super().__init__("perene:k8s:Qdrant", name, args, pod, opts)
        self.register_outputs({"host": self.host, "port": self.port, "claim": self.claim})


def settings(store: str) -> str:
    """config.yaml; the start adds the keys to `service`, which therefore stands last."""
    data, tls = f"{naming.store_mount(store)}/data", "/etc/perene/secrets/tls"
    return f"""\
log_level: INFO
telemetry_disabled: true
cluster: {{enabled: false}}
storage:
  storage_path: {data}/storage
  snapshots_path: {data}/snapshots
tls: {{cert: {tls}/tls.crt, key: {tls}/tls.key, ca_cert: {tls}/ca.crt}}
service:
  host: 0.0.0.0
  http_port: {HTTP}
  grpc_port: {GRPC}
  enable_tls: true
  enable_static_content: false
"""
