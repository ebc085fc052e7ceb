"""Roles and rights inside a Cloud SQL instance: no provider runs GRANT, so a Job does, as the admin identity through the proxy.

Owns: the Job and its SQL. Deliberately does not own: the instance, its users, the identities.

Produces the following resources:
    ConfigMap <name>-roles, Job <name>-roles-<digest>
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, EnvVarArgs, PodSpecArgs, PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import guards, naming
from infra.components import pods, postgres_files
from infra.components.postgres_roles import Role, roles_sql


@dataclass(frozen=True, kw_only=True)
class CloudSqlRolesArgs:
    """admin: the administering role's name in the server; roles: the others; databases: name -> schemas.

    waits_for: what must be there first: options of a component do not reach its children.
    """

    namespace: str
    labels: Mapping[str, str]
    image: str
    proxy_image: str
    connection_name: str
    service_account: str
    admin: str
    roles: Sequence[Role]
    databases: Mapping[str, tuple[str, ...]]
    protect: bool
    waits_for: tuple[pulumi.Resource, ...] = ()


class CloudSqlRoles(pulumi.ComponentResource):
    """The Job that grants."""

    def __init__(self, name: str, args: CloudSqlRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:CloudSqlRoles", name, None, opts)
        files = {
            "roles.sh": postgres_files.script("cloud-sql-roles.sh"),
            "roles.sql": roles_sql(args.roles, args.databases, (), managed=True),
        }
        config = ConfigMap(
            f"{name}-roles-sql",
            metadata=pods.meta(f"{name}-roles", args.namespace, args.labels),
            data=files,
            opts=guards.within(self, protect=args.protect),
        )
        grant = ContainerArgs(
            name="roles",
            image=args.image,
            image_pull_policy="IfNotPresent",
            command=["/bin/sh", "/etc/perene/roles/roles.sh"],
            env=[EnvVarArgs(name="ADMIN", value=args.admin)],
            security_context=pods.container_security(),
            resources=pods.resources(cpu="50m", memory="128Mi"),
            volume_mounts=[pods.mount("roles", "/etc/perene/roles")],
        )
        digest = naming.digest(args.image, args.proxy_image, args.admin, args.connection_name, *files.values())
        Job(
            f"{name}-roles",
            metadata=pods.meta(f"{name}-roles-{digest}", args.namespace, {**args.labels, **naming.NAMED_BY_CONTENT}),
            spec=JobSpecArgs(
                backoff_limit=4,
                active_deadline_seconds=900,
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels={**args.labels, "perene.dev/role": "roles"}),
                    spec=PodSpecArgs(
                        restart_policy="Never",
                        service_account_name=args.service_account,
                        automount_service_account_token=False,
                        enable_service_links=False,
                        security_context=pods.pod_security(),
                        init_containers=[pods.cloud_sql_proxy(args.proxy_image, args.connection_name)],
                        containers=[grant],
                        volumes=[pods.config("roles", f"{name}-roles")],
                    ),
                ),
            ),
            opts=guards.named_by_content(self, depends_on=[config, *args.waits_for]),
        )
        self.register_outputs({})
