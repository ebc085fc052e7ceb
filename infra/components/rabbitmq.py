"""RabbitMQ on a volume of the cluster: one node whose name never changes.

Owns: the volume claim, the server, its configuration, its Service, what may reach it, and a Job that brings virtual hosts, users, rights
and quorum queues to what is declared. Deliberately does not own: the namespace and the Secrets, other queues, backups, alerts, and any
message.

Produces the following resources:
    PersistentVolumeClaim data-<name>-0, ConfigMaps <name>-config and <name>-roles, ServiceAccount, Service and StatefulSet <name>,
    PodDisruptionBudget, NetworkPolicy, Job <name>-roles-<digest>
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    EnvVarArgs,
    ExecActionArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    TCPSocketActionArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import guards, naming
from infra.components import pods, server
from infra.components.postgres_files import script
from infra.components.server import CONFIG, Pod, Server, ServerArgs
from perene.contract.values import Size

PORT, MANAGEMENT, METRICS = 5671, 15671, 15692
RUN = "/run/rabbitmq"
# Not the pod's name: under another node name RabbitMQ starts an empty broker beside the data.
NODE = "rabbit@localhost"
# Right -> tags, and what may be configured, written, read in every virtual host. Definitions are shown to administrators only.
RIGHTS: Mapping[str, tuple[str, str, str, str]] = {
    "admin": ("administrator", ".*", ".*", ".*"),
    "read-write": ("", ".*", ".*", ".*"),
    "read-only": ("", "^$", "^$", ".*"),
    "dump": ("administrator", "^$", "^$", "^$"),
}


@dataclass(frozen=True, kw_only=True)
class RabbitMqArgs:
    """vhosts: virtual host -> quorum queues; users: name -> read-write, read-only or dump."""

    server: ServerArgs
    vhosts: Mapping[str, tuple[str, ...]]
    users: Mapping[str, str]


class RabbitMq(Server):
    """A RabbitMQ node. port: AMQP, management: the HTTP API; both over TLS only."""

    port: int
    management: int

    def __init__(self, name: str, args: RabbitMqArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self.port, self.management = PORT, MANAGEMENT
        data = f"{naming.store_mount(args.server.store)}/data"
        running = ExecActionArgs(command=["/usr/lib/rabbitmq/bin/rabbitmq-diagnostics", "-q", "check_running"])
        pod = Pod(
            kind="rabbitmq",
            command=["/usr/lib/rabbitmq/bin/rabbitmq-server"],
            environment={
                "MAJOR": args.server.version,
                "HOME": RUN,
                "RABBITMQ_NODENAME": NODE,
                "RABBITMQ_MNESIA_BASE": data,
                "RABBITMQ_LOG_BASE": f"{RUN}/log",
                "RABBITMQ_CONFIG_FILE": f"{CONFIG}/rabbitmq.conf",
                "RABBITMQ_CONFIG_FILES": f"{RUN}/conf.d",
                "RABBITMQ_GENERATED_CONFIG_DIR": f"{RUN}/generated",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{CONFIG}/enabled_plugins",
                # Erlang's own ports carry a login without a password: they are opened inside the pod only.
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            },
            ports={"amqps": PORT, "management": MANAGEMENT},
            metrics=METRICS,
            files={
                "rabbitmq.conf": settings(args.server.memory, args.server.volume),
                "enabled_plugins": "[rabbitmq_management,rabbitmq_prometheus].\n",
                "prepare.sh": script("rabbitmq-prepare.sh"),
            },
            holds=f"data/{NODE}",
            started=ProbeArgs(exec_=running, period_seconds=10, timeout_seconds=30, failure_threshold=server.START_FAILURES // 2),
            # Listeners open once everything is recovered. An alarm is no reason to turn clients away: consumers must still drain.
            ready=ProbeArgs(tcp_socket=TCPSocketActionArgs(port="amqps"), period_seconds=5, timeout_seconds=5, failure_threshold=3),
            grace=180,
            run=RUN,
        )
        super().__init__("perene:k8s:RabbitMq", name, args.server, pod, opts)
        self._roles(args)
        self.register_outputs({"host": self.host, "port": self.port, "management": self.management, "claim": self.claim})

    def _roles(self, args: RabbitMqArgs) -> None:
        name = self.name
        files = {"roles": roles(args.vhosts, args.users), "roles.sh": script("rabbitmq-roles.sh")}
        users = ("admin", *args.users)
        config = ConfigMap(f"{name}-roles-config", metadata=self._meta(f"{name}-roles"), data=files, opts=self._child())
        container = ContainerArgs(
            name="roles",
            image=args.server.image,
            image_pull_policy="IfNotPresent",
            command=["/bin/sh", "/etc/perene/roles/roles.sh"],
            env=[
                EnvVarArgs(name=key, value=value)
                for key, value in {"HOST": self.host, "PORT": str(MANAGEMENT), "HOME": "/tmp"}.items()  # noqa: S108
            ],
            security_context=pods.container_security(),
            resources=pods.resources(cpu="50m", memory="64Mi"),
            volume_mounts=[
                pods.mount("roles", "/etc/perene/roles"),
                pods.mount("tmp", "/tmp", writable=True),  # noqa: S108 - a memory volume of the pod
                pods.secret_mount("tls"),
                *(pods.secret_mount(user) for user in users),
            ],
        )
        template = PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels={**self.labels, **self.client, "perene.dev/role": "roles"}),
            spec=PodSpecArgs(
                restart_policy="Never",
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pods.pod_security(),
                containers=[container],
                volumes=[
                    pods.config("roles", f"{name}-roles"),
                    pods.memory("tmp", "16Mi"),
                    pods.secret("tls", naming.tls_secret(name), "ca.crt"),
                    *(pods.secret(user, naming.login_secret(name, user), "password") for user in users),
                ],
            ),
        )
        # A Job's template cannot be changed: other content has another name, and the old Job goes once the new one has run.
        digest = naming.digest(args.server.image, *files.values(), *users)
        labels = {**self.labels, **naming.NAMED_BY_CONTENT}
        Job(
            f"{name}-roles",
            metadata=pods.meta(f"{name}-roles-{digest}", args.server.namespace, labels),
            spec=JobSpecArgs(backoff_limit=4, active_deadline_seconds=900, template=template),
            opts=guards.named_by_content(self, depends_on=[self.server, config]),
        )


def roles(vhosts: Mapping[str, tuple[str, ...]], users: Mapping[str, str]) -> str:
    """What rabbitmq-roles.sh reads, a line each: `vhost`, `user`, `permission` or `queue`, the encoded path, the body."""
    lines = [f"user {user} {RIGHTS[right][0]}" for user, right in users.items()]
    for vhost, queues in vhosts.items():
        path = quote(vhost, safe="")
        lines.append(f"vhost {path} {json.dumps({'default_queue_type': 'quorum'})}")
        for user, right in {"admin": "admin", **users}.items():
            body = dict(zip(("configure", "write", "read"), RIGHTS[right][1:], strict=True))
            lines.append(f"permission {path}/{user} {json.dumps(body)}")
        queue = json.dumps({"durable": True, "arguments": {"x-queue-type": "quorum"}})
        lines += [f"queue {path}/{quote(name, safe='')} {queue}" for name in queues]
    return "".join(f"{line}\n" for line in lines)


def settings(memory: Size, volume: Size | None) -> str:
    """rabbitmq.conf. Publishers are stopped while memory or disk are short, long before the kernel or the file system would."""
    tls = "/etc/perene/secrets/tls"
    free = min(2**30, volume.bytes // 10) if volume else 2**30
    values = {
        "listeners.tcp": "none",
        "listeners.ssl.default": str(PORT),
        **{f"{part}.cacertfile": f"{tls}/ca.crt" for part in ("ssl_options", "management.ssl")},
        **{f"{part}.certfile": f"{tls}/tls.crt" for part in ("ssl_options", "management.ssl")},
        **{f"{part}.keyfile": f"{tls}/tls.key" for part in ("ssl_options", "management.ssl")},
        "ssl_options.verify": "verify_none",
        "ssl_options.fail_if_no_peer_cert": "false",
        "management.ssl.port": str(MANAGEMENT),
        "prometheus.tcp.port": str(METRICS),
        "default_user_tags.administrator": "true",
        "default_queue_type": "quorum",
        "vm_memory_high_watermark.absolute": str(memory.bytes * 6 // 10),
        "disk_free_limit.absolute": str(free),
        "log.console": "true",
        "log.console.level": "info",
        "log.file": "false",
    }
    return "".join(f"{name} = {value}\n" for name, value in values.items())
