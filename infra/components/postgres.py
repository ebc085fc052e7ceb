"""PostgreSQL on a volume of the cluster.

Owns: the volume claim, the server, its configuration, its Service, what may reach it, and a Job that brings roles and rights to
what is declared. Deliberately does not own: the namespace and the Secrets (made once by `perene secrets init`; a program that
owned them could delete them), backups, alerts, and any data.

Produces the following resources:
    PersistentVolumeClaim data-<name>-0, ConfigMaps <name>-config and <name>-roles, ServiceAccount, Service and StatefulSet <name>,
    PodDisruptionBudget, NetworkPolicy, Job <name>-roles-<digest>, and what tells the collector (`scrape`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicyArgs, StatefulSetSpecArgs
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicy,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from infra import guards, naming
from infra.components import pods, postgres_files, postgres_pods, scrape, sidecars
from infra.components.postgres_roles import Role, roles_sql
from perene.contract.values import Size

PORT, METRICS = 5432, sidecars.KINDS["postgres"].port


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """What a PostgreSQL in the cluster is made from.

    users: name -> read-write, read-only, ddl or dump (the exporter's login is implied); databases: name -> schemas; cpu: as Kubernetes
    writes it; collector: who scrapes the exporter; protect: guard every resource.
    """

    store: str
    namespace: str
    labels: Mapping[str, str]
    image: str
    image_family: str
    major: int
    storage_class: str
    volume: Size
    cpu: str
    memory: Size
    databases: Mapping[str, tuple[str, ...]]
    users: Mapping[str, str]
    max_connections: int
    slow_query_ms: int
    protect: bool
    extensions: tuple[str, ...] = ()
    collector: scrape.Collector = "annotations"


class Postgres(pulumi.ComponentResource):
    """A PostgreSQL server on a volume. host and port: where clients find it, over TLS whose authority they verify."""

    host: str
    port: int
    claim: str

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:Postgres", name, None, opts)
        self.name, self.args = name, args
        self.host, self.port, self.claim = naming.service_host(name, args.namespace), PORT, naming.claim(name)
        self.labels = {**args.labels, "app.kubernetes.io/name": "postgres", "app.kubernetes.io/instance": name}
        self.selector = {"app.kubernetes.io/instance": name, "perene.dev/role": "server"}
        # A client says in its own labels which store it uses; nobody else reaches the port.
        self.client = {naming.access_label(args.store): "true"}

        account = ServiceAccount(f"{name}-account", metadata=self._meta(name), automount_service_account_token=False, opts=self._child())
        before = [self._volume(), self._service(), account]
        self._reach()
        server = self._server(before)
        self._roles(server)
        meta = self._meta(f"{name}-metrics")
        scrape.collected(f"{name}-metrics", args.collector, metadata=meta, selector=self.selector, opts=self._child())
        self.register_outputs({"host": self.host, "port": self.port, "claim": self.claim})

    def _child(self, depends_on: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
        return guards.within(self, protect=self.args.protect, depends_on=depends_on)

    def _meta(self, name: str) -> ObjectMetaArgs:
        return pods.meta(name, self.args.namespace, self.labels)

    def _volume(self) -> PersistentVolumeClaim:
        return PersistentVolumeClaim(
            f"{self.name}-data",
            metadata=self._meta(self.claim),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=self.args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": self.args.volume.kubernetes}),
            ),
            opts=self._child(),
        )

    def _service(self) -> Service:
        return Service(
            f"{self.name}-service",
            metadata=self._meta(self.name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=self.selector,
                ports=[ServicePortArgs(name="postgres", port=PORT, target_port="postgres")],
            ),
            opts=self._child(),
        )

    def _reach(self) -> None:
        NetworkPolicy(
            f"{self.name}-clients",
            metadata=self._meta(f"{self.name}-clients"),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=self.selector),
                policy_types=["Ingress", "Egress"],
                ingress=[
                    NetworkPolicyIngressRuleArgs(
                        from_=[NetworkPolicyPeerArgs(pod_selector=LabelSelectorArgs(match_labels=self.client))],
                        ports=[NetworkPolicyPortArgs(port=PORT, protocol="TCP")],
                    ),
                    NetworkPolicyIngressRuleArgs(from_=scrape.peers(), ports=[NetworkPolicyPortArgs(port=METRICS, protocol="TCP")]),
                ],
                egress=[],
            ),
            opts=self._child(),
        )
        PodDisruptionBudget(
            f"{self.name}-disruption",
            metadata=self._meta(self.name),
            spec=PodDisruptionBudgetSpecArgs(min_available=1, selector=LabelSelectorArgs(match_labels=self.selector)),
            opts=self._child(),
        )

    def _server(self, before: Sequence[pulumi.Resource]) -> StatefulSet:
        args, name = self.args, self.name
        files = {
            "postgresql.conf": postgres_files.settings(
                memory=args.memory.bytes,
                volume=args.volume.bytes,
                max_connections=args.max_connections,
                slow_query_ms=args.slow_query_ms,
                preload=args.extensions,
            ),
            "pg_hba.conf": postgres_files.HBA,
            "pg_ident.conf": postgres_files.IDENT,
            "prepare.sh": postgres_files.script("postgres-prepare.sh"),
            "queries.yml": postgres_files.script("postgres-exporter-queries.yml"),
        }
        config = ConfigMap(f"{name}-config", metadata=self._meta(f"{name}-config"), data=files, opts=self._child())
        return StatefulSet(
            name,
            metadata=self._meta(name),
            spec=StatefulSetSpecArgs(
                service_name=name,
                replicas=1,
                revision_history_limit=10,
                selector=LabelSelectorArgs(match_labels=self.selector),
                persistent_volume_claim_retention_policy=StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                    when_deleted="Retain", when_scaled="Retain"
                ),
                template=postgres_pods.server(
                    name=name,
                    labels={**self.labels, **self.selector},
                    image=args.image,
                    family=args.image_family,
                    major=args.major,
                    cpu=args.cpu,
                    memory=args.memory.kubernetes,
                    claim=self.claim,
                    config_digest=naming.digest(*files.values()),
                ),
            ),
            opts=self._child([*before, config]),
        )

    def _roles(self, server: StatefulSet) -> None:
        args, name = self.args, self.name
        logins = {**args.users, sidecars.USER: "monitor"}
        files = {
            "roles.sh": postgres_files.script("postgres-roles.sh"),
            "roles.sql": roles_sql(
                [Role(name=user, right=right, password_file=f"{pods.SECRETS}/{user}/password") for user, right in logins.items()],
                args.databases,
                args.extensions,
                managed=False,
            ),
        }
        config = ConfigMap(f"{name}-roles-sql", metadata=self._meta(f"{name}-roles"), data=files, opts=self._child())
        users = ("admin", *logins)
        Job(
            f"{name}-roles",
            # A Job's template cannot be changed: other content has another name, and the old Job goes once the new one has run.
            metadata=pods.meta(
                f"{name}-roles-{naming.digest(args.image, *files.values(), *users)}",
                args.namespace,
                {**self.labels, **naming.NAMED_BY_CONTENT},
            ),
            spec=JobSpecArgs(
                backoff_limit=4,
                active_deadline_seconds=900,
                template=postgres_pods.roles(
                    name=name,
                    labels={**self.labels, **self.client, "perene.dev/role": "roles"},
                    image=args.image,
                    host=self.host,
                    users=users,
                ),
            ),
            opts=guards.named_by_content(self, depends_on=[server, config]),
        )
