"""The exporters that run beside a store in its pod: Debian's packages in the store's own image, talking to it over the pod's loopback.

RabbitMQ needs none: its own prometheus plugin listens on 15692. Deliberately does not own: the store's pod (its component puts the
container in, and the annotations of `scrape`) and the Secret with the monitoring login.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pulumi_kubernetes.core.v1 import ContainerArgs, ContainerPortArgs, EnvVarArgs, EnvVarSourceArgs, SecretKeySelectorArgs

from infra.components import pods
from infra.components.scrape import PORT_NAME

# The login that every store in the cluster has for its exporter: it reads statistics and nothing else.
USER = "monitor"
CONFIG = "/etc/perene/config"
# Where a container of a pod ends, the whole pod is unready and its clients lose the store: the program's end must not be the container's.
KEEP = 'trap "exit 0" TERM; while :; do "$@" & wait $!; echo "ended with $?: started again" >&2; sleep 5 & wait $!; done'


@dataclass(frozen=True)
class _Kind:
    """environment: from the login's name; mounts: volume of the pod -> where its exporter sees it."""

    program: tuple[str, ...]
    port: int
    environment: Callable[[str], Mapping[str, str]]
    password: str
    mounts: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    "postgres": _Kind(
        ("prometheus-postgres-exporter", "--web.listen-address=:9187"),
        9187,
        lambda user: {
            "DATA_SOURCE_URI": "127.0.0.1:5432/postgres?sslmode=require&application_name=perene-exporter",
            "DATA_SOURCE_USER": user,
            "PG_EXPORTER_EXTEND_QUERY_PATH": f"{CONFIG}/queries.yml",
        },
        "DATA_SOURCE_PASS",
        {"config": CONFIG},
    ),
    "redis": _Kind(
        ("prometheus-redis-exporter", "--web.listen-address=:9121"),
        9121,
        # The port speaks TLS only, under a certificate that names localhost too.
        lambda user: {
            "REDIS_ADDR": "rediss://localhost:6379",
            "REDIS_USER": user,
            "REDIS_EXPORTER_TLS_CA_CERT_FILE": f"{pods.SECRETS}/tls/ca.crt",
        },
        "REDIS_PASSWORD",
        {"tls": f"{pods.SECRETS}/tls"},
    ),
}


def exporter(kind: str, *, image: str, secret: str, user: str = USER) -> ContainerArgs:
    """The exporter's container. image: the store's; secret: holds `password` of the login `user`.

    A PostgreSQL's volume `config` carries `queries.yml` (infra/components/files/postgres-exporter-queries.yml).
    """
    found = KINDS[kind]
    password = EnvVarSourceArgs(secret_key_ref=SecretKeySelectorArgs(name=secret, key="password"))
    plain = [EnvVarArgs(name=key, value=value) for key, value in found.environment(user).items()]
    return ContainerArgs(
        name="exporter",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["/bin/sh", "-c", KEEP, "exporter", *found.program],
        env=[*plain, EnvVarArgs(name=found.password, value_from=password)],
        ports=[ContainerPortArgs(name=PORT_NAME, container_port=found.port)],
        security_context=pods.container_security(),
        resources=pods.resources(cpu="10m", memory="64Mi"),
        volume_mounts=[pods.mount(volume, path) for volume, path in found.mounts.items()],
    )
