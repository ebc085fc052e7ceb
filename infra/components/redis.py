"""Redis in the cluster: a store that keeps every acknowledged write (snapshot each minute with a change, log synced each second), or a
cache that keeps nothing.

Owns: the volume claim, the server, its configuration and users, its Service, what may reach it. Deliberately does not own: the namespace
and the Secrets, backups, alerts, and any data.

Produces the following resources:
    PersistentVolumeClaim data-<name>-0 (a store), ConfigMap <name>-config, ServiceAccount, Service and StatefulSet <name>,
    PodDisruptionBudget, NetworkPolicy
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_kubernetes.core.v1 import ExecActionArgs, ProbeArgs

from infra import naming
from infra.components import server, sidecars
from infra.components.postgres_files import script
from infra.components.server import CONFIG, Pod, Server, ServerArgs
from perene.contract.values import Size

PORT = 6379
RUN = "/run/redis"
# Right -> rules of Redis' ACL. `dump` takes a snapshot, over the replication protocol or by BGSAVE, and reads what it compares with.
RULES = {
    "admin": "~* &* +@all",
    "read-write": "~* &* +@all -@admin -@dangerous +info +keys +flushdb +sort",
    "read-only": "%R~* &* -@all +@read +@connection +info -@dangerous +keys",
    "monitor": "-@all +ping +info +config|get +client|setname +client|list +slowlog|get +slowlog|len +latency|latest +latency|histogram",
    "dump": "%R~* -@all +@read +@connection +info +bgsave +lastsave +psync +sync +replconf +wait +config|get",
}


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    """users: name -> read-write, read-only or dump; policy: what happens when max_memory is full."""

    server: ServerArgs
    mode: Literal["cache", "store"]
    max_memory: Size
    policy: str
    users: Mapping[str, str]


class Redis(Server):
    """A Redis server. port: TLS only."""

    port: int

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self.port = PORT
        files = {
            "redis.conf": settings(args),
            "users": "".join(
                f"{user} {RULES[right]}\n" for user, right in {"admin": "admin", **args.users, sidecars.USER: "monitor"}.items()
            ),
            "prepare.sh": script("redis-prepare.sh"),
            "ping.sh": script("redis-ping.sh"),
        }
        ping = ExecActionArgs(command=["/bin/sh", f"{CONFIG}/ping.sh"])
        pod = Pod(
            kind="redis",
            command=["redis-server", f"{CONFIG}/redis.conf"],
            environment={"MODE": args.mode, "MAJOR": args.server.version},
            ports={"redis": PORT},
            metrics=sidecars.KINDS["redis"].port,
            beside=[sidecars.exporter("redis", image=args.server.image, secret=naming.login_secret(name, sidecars.USER))],
            files=files,
            holds="data/appendonlydir/appendonly.aof.manifest",
            # `PING` is answered with an error while data is still being loaded: that is not yet ready, and must not be cut off.
            started=ProbeArgs(exec_=ping, period_seconds=server.START_PERIOD, timeout_seconds=5, failure_threshold=server.START_FAILURES),
            ready=ProbeArgs(exec_=ping, period_seconds=5, timeout_seconds=5, failure_threshold=3),
            # SIGTERM writes a last snapshot: a large one on a slow disk takes minutes.
            grace=180,
            run=RUN,
        )
        super().__init__("perene:k8s:Redis", name, args.server, pod, opts)
        self.register_outputs({"host": self.host, "port": self.port, "claim": self.claim})


def settings(args: RedisArgs) -> str:
    """redis.conf."""
    tls = "/etc/perene/secrets/tls"
    kept = args.mode == "store"
    lines = [
        "bind * -::*",
        "port 0",
        f"tls-port {PORT}",
        f"tls-cert-file {tls}/tls.crt",
        f"tls-key-file {tls}/tls.key",
        f"tls-ca-cert-file {tls}/ca.crt",
        "tls-auth-clients no",
        'tls-protocols "TLSv1.2 TLSv1.3"',
        f"unixsocket {RUN}/redis.sock",
        "unixsocketperm 700",
        f"aclfile {RUN}/users.acl",
        f"dir {naming.store_mount(args.server.store)}/data" if kept else f"dir {RUN}",
        "save 60 1" if kept else 'save ""',
        f"appendonly {'yes' if kept else 'no'}",
        "appendfsync everysec",
        "appenddirname appendonlydir",
        "appendfilename appendonly.aof",
        "dbfilename dump.rdb",
        f"maxmemory {args.max_memory.bytes}",
        f"maxmemory-policy {args.policy}",
        'logfile ""',
    ]
    return "".join(f"{line}\n" for line in lines)
