"""What Redis, Qdrant and RabbitMQ have in common in the cluster: one server on a volume, its Service, and who may reach it.

Each kind's component hands in its ports, its files and its container. PostgreSQL came first and keeps its own form, whose URNs are frozen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicyArgs, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    ExecActionArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
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
from infra.components import pods, scrape
from infra.components.postgres_files import script
from perene.contract.values import Size

CONFIG = "/etc/perene/config"
# How long a volume may take to be read at start (two hours): a slow start must not be cut off.
# Not an init container: those run once per pod, and a server that ends and is started again in it must be looked after too.
PREPARED = 'sh "$0" && exec "$@"'
START_PERIOD, START_FAILURES = 5, 1440


@dataclass(frozen=True, kw_only=True)
class ServerArgs:
    """What a server in the cluster is made from.

    volume: None for a cache; logins: users whose password the pod reads, as files; collector: who scrapes its figures; protect: guard
    every resource.
    """

    store: str
    namespace: str
    labels: Mapping[str, str]
    image: str
    version: str
    storage_class: str
    volume: Size | None
    cpu: str
    memory: Size
    logins: tuple[str, ...]
    protect: bool
    collector: scrape.Collector = "annotations"


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What differs between the kinds.

    ports: name -> port, those that clients use; metrics: a port that Prometheus reads without a login, figures only, and which the server
    opens itself unless a container `beside` it does; files: of the ConfigMap, `prepare.sh` among them; holds: the file that every start
    leaves, below the volume; grace: seconds a stop may take.
    """

    kind: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    files: Mapping[str, str]
    holds: str
    started: ProbeArgs
    ready: ProbeArgs
    grace: int
    run: str
    metrics: int | None = None
    pre_stop: Sequence[str] = ()
    beside: Sequence[ContainerArgs] = ()


class Server(pulumi.ComponentResource):
    """A server on a volume. host: where clients find it, over TLS whose authority they verify; claim: its volume's, None for a cache."""

    host: str
    claim: str | None

    def __init__(self, token: str, name: str, args: ServerArgs, pod: Pod, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token, name, None, opts)
        self.name, self.args = name, args
        self.host = naming.service_host(name, args.namespace)
        self.claim = naming.claim(name) if args.volume else None
        self.mount = naming.store_mount(args.store)
        self.labels = {**args.labels, "app.kubernetes.io/name": pod.kind, "app.kubernetes.io/instance": name}
        self.labels |= {} if args.volume else naming.KEEPS_NOTHING
        self.selector = {"app.kubernetes.io/instance": name, "perene.dev/role": "server"}
        # A client says in its own labels which store it uses; nobody else reaches the ports.
        self.client = {naming.access_label(args.store): "true"}

        before: list[pulumi.Resource] = [*self._volume(), self._service(pod)]
        before.append(
            ServiceAccount(f"{name}-account", metadata=self._meta(name), automount_service_account_token=False, opts=self._child())
        )
        self._reach(pod)
        self.server = self._stateful_set(pod, before)
        if pod.metrics:
            meta = self._meta(f"{name}-metrics")
            scrape.collected(f"{name}-metrics", args.collector, metadata=meta, selector=self.selector, opts=self._child())

    def _child(self, depends_on: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
        return guards.within(self, protect=self.args.protect, depends_on=depends_on)

    def _meta(self, name: str) -> ObjectMetaArgs:
        return pods.meta(name, self.args.namespace, self.labels)

    def _volume(self) -> list[pulumi.Resource]:
        if self.args.volume is None or self.claim is None:
            return []
        claim = PersistentVolumeClaim(
            f"{self.name}-data",
            metadata=self._meta(self.claim),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=self.args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": self.args.volume.kubernetes}),
            ),
            opts=self._child(),
        )
        return [claim]

    def _service(self, pod: Pod) -> Service:
        ports = [ServicePortArgs(name=name, port=port, target_port=name) for name, port in pod.ports.items()]
        return Service(
            f"{self.name}-service",
            metadata=self._meta(self.name),
            spec=ServiceSpecArgs(type="ClusterIP", selector=self.selector, ports=ports),
            opts=self._child(),
        )

    def _reach(self, pod: Pod) -> None:
        clients = NetworkPolicyIngressRuleArgs(
            from_=[NetworkPolicyPeerArgs(pod_selector=LabelSelectorArgs(match_labels=self.client))],
            ports=[NetworkPolicyPortArgs(port=port, protocol="TCP") for port in pod.ports.values()],
        )
        metrics = [NetworkPolicyPortArgs(port=pod.metrics, protocol="TCP")] if pod.metrics else []
        figures = [NetworkPolicyIngressRuleArgs(from_=scrape.peers(), ports=metrics)] if metrics else []
        NetworkPolicy(
            f"{self.name}-clients",
            metadata=self._meta(f"{self.name}-clients"),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=self.selector),
                policy_types=["Ingress", "Egress"],
                ingress=[clients, *figures],
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

    def _stateful_set(self, pod: Pod, before: Sequence[pulumi.Resource]) -> StatefulSet:
        files = {**pod.files, "volume.sh": script("volume.sh"), "held.sh": script("held.sh")}
        config = ConfigMap(f"{self.name}-config", metadata=self._meta(f"{self.name}-config"), data=files, opts=self._child())
        return StatefulSet(
            self.name,
            metadata=self._meta(self.name),
            spec=StatefulSetSpecArgs(
                service_name=self.name,
                replicas=1,
                revision_history_limit=10,
                selector=LabelSelectorArgs(match_labels=self.selector),
                persistent_volume_claim_retention_policy=StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                    when_deleted="Retain", when_scaled="Retain"
                ),
                template=self._template(pod, naming.digest(*files.values())),
            ),
            opts=self._child([*before, config]),
        )

    def _template(self, pod: Pod, config_digest: str) -> PodTemplateSpecArgs:
        args, name = self.args, self.name
        environment = {"VOLUME": self.mount, "HOLDS": f"{self.mount}/{pod.holds}", "RUN": pod.run, **pod.environment}
        keys: dict[str, tuple[str, tuple[str, ...]]] = {naming.tls_secret(name): ("tls", ("tls.crt", "tls.key", "ca.crt"))}
        keys |= {naming.login_secret(name, user): (user, ("password",)) for user in args.logins}
        volumes = [
            *([pods.claim("data", self.claim)] if self.claim else []),
            pods.config("config", f"{name}-config"),
            *(pods.secret(volume, secret, *names) for secret, (volume, names) in keys.items()),
            pods.memory("run", "16Mi"),
            pods.memory("tmp", "64Mi"),
        ]
        mounts = [
            *([pods.mount("data", self.mount, writable=True)] if self.claim else []),
            pods.mount("config", CONFIG),
            *(pods.secret_mount(volume) for volume, _ in keys.values()),
            pods.mount("run", pod.run, writable=True),
            pods.mount("tmp", "/tmp", writable=True),  # noqa: S108 - a memory volume of the pod
        ]
        hooks = LifecycleArgs(
            post_start=_hook(["/bin/sh", f"{CONFIG}/held.sh"]) if self.claim else None,
            pre_stop=_hook(pod.pre_stop) if pod.pre_stop else None,
        )
        own = {} if pod.beside or not pod.metrics else {scrape.PORT_NAME: pod.metrics}
        server = ContainerArgs(
            name=pod.kind,
            command=["/bin/sh", "-c", PREPARED, f"{CONFIG}/prepare.sh", *pod.command],
            image=args.image,
            image_pull_policy="IfNotPresent",
            env=[EnvVarArgs(name=key, value=value) for key, value in environment.items()],
            security_context=pods.container_security(),
            resources=pods.resources(cpu=args.cpu, memory=args.memory.kubernetes),
            volume_mounts=mounts,
            ports=[ContainerPortArgs(name=port_name, container_port=port) for port_name, port in {**pod.ports, **own}.items()],
            startup_probe=pod.started,
            readiness_probe=pod.ready,
            lifecycle=hooks if self.claim or pod.pre_stop else None,
        )
        return PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels={**self.labels, **self.selector},
                annotations={"perene.dev/config": config_digest, **(scrape.annotations(pod.metrics) if pod.metrics else {})},
            ),
            spec=PodSpecArgs(
                service_account_name=name,
                automount_service_account_token=False,
                enable_service_links=False,
                termination_grace_period_seconds=pod.grace,
                security_context=pods.pod_security(),
                containers=[server, *pod.beside],
                volumes=volumes,
            ),
        )


def _hook(command: Sequence[str]) -> LifecycleHandlerArgs:
    return LifecycleHandlerArgs(exec_=ExecActionArgs(command=list(command)))
