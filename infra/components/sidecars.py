"""The exporters that run beside a store in its pod: Debian's packages in the ops image, talking to the store over the pod's loopback.

Deliberately does not own: the store's pod (its component puts the container in) and the Secret with the monitoring login.
"""

from dataclasses import dataclass

from pulumi_kubernetes.core.v1 import ContainerArgs, ContainerPortArgs, EnvVarArgs, EnvVarSourceArgs, SecretKeySelectorArgs

from infra.components import pods

QUERIES = "/etc/perene/config/queries.yml"


@dataclass(frozen=True)
class _Kind:
    program: str
    port: int


# RabbitMQ needs no exporter: its own prometheus plugin listens on 15692.
KINDS = {"postgres": _Kind("prometheus-postgres-exporter", 9187), "redis": _Kind("prometheus-redis-exporter", 9121)}


def exporter(kind: str, *, image: str, secret: str, user: str) -> ContainerArgs:
    """The exporter's container. secret: holds `password` of the login `user`, which may read statistics and nothing else.

    The store's component mounts `queries.yml` (infra/components/files/postgres-exporter-queries.yml) under /etc/perene/config.
    """
    found = KINDS[kind]
    password = EnvVarSourceArgs(secret_key_ref=SecretKeySelectorArgs(name=secret, key="password"))
    settings: dict[str, list[EnvVarArgs]] = {
        "postgres": [
            EnvVarArgs(name="DATA_SOURCE_URI", value="127.0.0.1:5432/postgres?sslmode=require"),
            EnvVarArgs(name="DATA_SOURCE_USER", value=user),
            EnvVarArgs(name="DATA_SOURCE_PASS", value_from=password),
            EnvVarArgs(name="PG_EXPORTER_EXTEND_QUERY_PATH", value=QUERIES),
        ],
        "redis": [
            EnvVarArgs(name="REDIS_ADDR", value="redis://127.0.0.1:6379"),
            EnvVarArgs(name="REDIS_USER", value=user),
            EnvVarArgs(name="REDIS_PASSWORD", value_from=password),
        ],
    }
    return ContainerArgs(
        name="exporter",
        image=image,
        image_pull_policy="IfNotPresent",
        command=[found.program, f"--web.listen-address=:{found.port}"],
        env=settings[kind],
        ports=[ContainerPortArgs(name="metrics", container_port=found.port)],
        security_context=pods.container_security(),
        resources=pods.resources(cpu="10m", memory="64Mi"),
        volume_mounts=[pods.mount("config", "/etc/perene/config")] if kind == "postgres" else [],
    )
