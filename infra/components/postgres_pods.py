"""The pods of a PostgreSQL in the cluster: the server, and the Job that brings its roles to what is declared."""

from collections.abc import Mapping, Sequence

from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    ExecActionArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    VolumeArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import naming
from infra.components import pods, scrape, sidecars

MOUNT = "/var/lib/perene"
# `select 1` over the socket: the server is up, has recovered, and answers queries. A listening port says none of it.
QUERY = ["psql", "-XAtq", "-h", "/run/postgresql", "-U", "admin", "-d", "postgres", "-c", "select 1"]
STOP = ["pg_ctl", "stop", "-D", f"{MOUNT}/data", "-m", "fast", "-w", "-t", "170"]


def server(
    *,
    name: str,
    labels: Mapping[str, str],
    image: str,
    family: str,
    major: int,
    cpu: str,
    memory: str,
    claim: str,
    config_digest: str,
) -> PodTemplateSpecArgs:
    """The server's pod: an init container that prepares or refuses the volume, then the server itself."""
    volumes = [
        pods.claim("data", claim),
        pods.config("config", f"{name}-config"),
        pods.secret("admin", naming.login_secret(name, "admin"), "password"),
        pods.secret("tls", naming.tls_secret(name), "tls.crt", "tls.key", "ca.crt"),
        pods.memory("run", "16Mi"),
        pods.memory("tmp", "64Mi"),
        pods.memory("shm", "256Mi"),
    ]
    mounts = [
        pods.mount("data", MOUNT, writable=True),
        pods.mount("config", "/etc/perene/config"),
        pods.secret_mount("admin"),
        pods.secret_mount("tls"),
        pods.mount("run", "/run/postgresql", writable=True),
        pods.mount("tmp", "/tmp", writable=True),  # noqa: S108 - a memory volume of the pod
        pods.mount("shm", "/dev/shm", writable=True),  # noqa: S108 - a memory volume of the pod
    ]
    prepare = ContainerArgs(
        name="prepare",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["/bin/sh", "/etc/perene/config/prepare.sh"],
        env=[EnvVarArgs(name="MAJOR", value=str(major)), EnvVarArgs(name="FAMILY", value=family)],
        security_context=pods.container_security(),
        resources=pods.resources(cpu=cpu, memory=memory),
        volume_mounts=mounts,
    )
    postgres = ContainerArgs(
        name="postgres",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["postgres", "-D", f"{MOUNT}/data", "-c", "config_file=/etc/perene/config/postgresql.conf"],
        ports=[ContainerPortArgs(name="postgres", container_port=5432)],
        security_context=pods.container_security(),
        resources=pods.resources(cpu=cpu, memory=memory),
        volume_mounts=mounts,
        # Recovery after a crash may take long and must not be cut off. There is no liveness probe: a slow server must not be
        # killed, and one that dies ends its container.
        startup_probe=ProbeArgs(exec_=ExecActionArgs(command=QUERY), period_seconds=2, timeout_seconds=5, failure_threshold=1800),
        readiness_probe=ProbeArgs(exec_=ExecActionArgs(command=QUERY), period_seconds=5, timeout_seconds=5, failure_threshold=3),
        # The SIGTERM of a pod's end would make the server wait for every client to leave.
        lifecycle=LifecycleArgs(pre_stop=LifecycleHandlerArgs(exec_=ExecActionArgs(command=STOP))),
    )
    annotations = {"perene.dev/config": config_digest, **scrape.annotations(sidecars.KINDS["postgres"].port)}
    return PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=dict(labels), annotations=annotations),
        spec=PodSpecArgs(
            service_account_name=name,
            automount_service_account_token=False,
            enable_service_links=False,
            # A fast shutdown still writes everything in memory to disk: on a slow one that takes minutes.
            termination_grace_period_seconds=180,
            security_context=pods.pod_security(),
            init_containers=[prepare],
            containers=[postgres, sidecars.exporter("postgres", image=image, secret=naming.login_secret(name, sidecars.USER))],
            volumes=volumes,
        ),
    )


def roles(*, name: str, labels: Mapping[str, str], image: str, host: str, users: Sequence[str]) -> PodTemplateSpecArgs:
    """The pod that runs roles.sql as admin over verified TLS; it sees the password of every declared user, as a file."""
    volumes: list[VolumeArgs] = [
        pods.config("roles", f"{name}-roles"),
        pods.memory("tmp", "16Mi"),
        pods.secret("tls", naming.tls_secret(name), "ca.crt"),
        *(pods.secret(user, naming.login_secret(name, user), "password") for user in users),
    ]
    container = ContainerArgs(
        name="roles",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["/bin/sh", "/etc/perene/roles/roles.sh"],
        env=[EnvVarArgs(name="HOST", value=host)],
        security_context=pods.container_security(),
        resources=pods.resources(cpu="50m", memory="128Mi"),
        volume_mounts=[
            pods.mount("roles", "/etc/perene/roles"),
            pods.mount("tmp", "/tmp", writable=True),  # noqa: S108 - a memory volume of the pod
            pods.secret_mount("tls"),
            *(pods.secret_mount(user) for user in users),
        ],
    )
    return PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=dict(labels)),
        spec=PodSpecArgs(
            restart_policy="Never",
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pods.pod_security(),
            containers=[container],
            volumes=volumes,
        ),
    )
