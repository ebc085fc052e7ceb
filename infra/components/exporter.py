"""The exporter of a tier: what the alerts are fed with, read-only and small.

Owns: its Deployment, its Service, and the rights to look (never to change). Deliberately does not own: the repository's password and the
tier's ConfigMaps, which it reads.

Produces the following resources:
    ServiceAccount (where no cloud identity brings it), Role, RoleBinding, Service, Deployment <name>; ClusterRole and
    ClusterRoleBinding <name>-<namespace> (volumes and the kubelet's figures on them belong to no namespace: docs/adr/0075);
    what tells the collector (`scrape`)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    HTTPGetActionArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from infra import guards, naming
from infra.components import pods, scrape

PORT = 9464
# Only `get` and `list`, and no Secret. `nodes/stats` is the kubelet's read-only summary; `nodes/proxy` would let the holder run commands.
LOOK = (
    ("", ("pods", "persistentvolumeclaims"), ("get", "list")),
    ("", ("pods/log",), ("get",)),
    ("apps", ("statefulsets",), ("get", "list")),
    ("batch", ("jobs", "cronjobs"), ("get", "list")),
)


@dataclass(frozen=True, kw_only=True)
class ExporterArgs:
    """volumes and mounts: how the pod sees the repository and its password; environment: what restic needs beside them.

    after: what its pod mounts; own_account: its service account is made here, and not with its cloud identity;
    stores: those whose ports it reaches, to see when their certificates end;
    states: export pods and jobs too (False where kube-state-metrics runs: its names are the same);
    collector: who scrapes it;
    kubelet_ca: PEM of the authority that signs kubelets' certificates, empty where they sign themselves.
    """

    stack: str
    namespace: str
    labels: Mapping[str, str]
    image: str
    protect: bool
    after: tuple[pulumi.Resource, ...] = ()
    own_account: bool = True
    stores: tuple[str, ...] = ()
    volumes: tuple[VolumeArgs, ...] = ()
    mounts: tuple[VolumeMountArgs, ...] = ()
    environment: Mapping[str, str] | None = None
    states: bool = True
    kubelet_ca: str = ""
    collector: scrape.Collector = "annotations"


class Exporter(pulumi.ComponentResource):
    """The exporter's pod. endpoint: where Prometheus scrapes it."""

    endpoint: str

    def __init__(self, name: str, args: ExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:Exporter", name, None, opts)
        self.name, self.args = name, args
        self.labels = {**args.labels, "app.kubernetes.io/name": "perene-exporter", "app.kubernetes.io/instance": name}
        self.endpoint = f"{naming.service_host(name, args.namespace)}:{PORT}"
        before = [*self._rights(), *args.after]
        if args.own_account:
            before.append(ServiceAccount(name, metadata=self._meta(), automount_service_account_token=False, opts=self._child()))
        self._server(before)
        self.register_outputs({"endpoint": self.endpoint})

    def _child(self, depends_on: tuple[pulumi.Resource, ...] = ()) -> pulumi.ResourceOptions:
        return guards.within(self, protect=self.args.protect, depends_on=depends_on)

    def _meta(self) -> ObjectMetaArgs:
        return pods.meta(self.name, self.args.namespace, self.labels)

    def _rights(self) -> list[pulumi.Resource]:
        name, namespace = self.name, self.args.namespace
        subject = SubjectArgs(kind="ServiceAccount", name=name, namespace=namespace)
        rules = [PolicyRuleArgs(api_groups=[group], resources=list(kinds), verbs=list(verbs)) for group, kinds, verbs in LOOK]
        rules.append(
            PolicyRuleArgs(api_groups=[""], resources=["configmaps"], resource_names=[naming.TIER_CONFIG], verbs=["get"]),
        )
        role = Role(f"{name}-role", metadata=self._meta(), rules=rules, opts=self._child())
        bound = RoleBinding(
            f"{name}-role-binding",
            metadata=self._meta(),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=name),
            subjects=[subject],
            opts=self._child((role,)),
        )
        wide = ObjectMetaArgs(name=f"{name}-{namespace}", labels=self.labels | naming.cluster_wide(namespace))
        stats = [
            PolicyRuleArgs(api_groups=[""], resources=["nodes/stats"], verbs=["get"]),
            PolicyRuleArgs(api_groups=[""], resources=["persistentvolumes"], verbs=["get", "list"]),
        ]
        cluster_role = ClusterRole(f"{name}-stats", metadata=wide, rules=stats, opts=self._child())
        cluster_bound = ClusterRoleBinding(
            f"{name}-stats-binding",
            metadata=wide,
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=f"{name}-{namespace}"),
            subjects=[subject],
            opts=self._child((cluster_role,)),
        )
        return [bound, cluster_bound]

    def _server(self, before: list[pulumi.Resource]) -> None:
        args = self.args
        selector = {"app.kubernetes.io/instance": self.name, "app.kubernetes.io/name": "perene-exporter"}
        command = ["perene", "exporter", args.stack, "--listen", f"0.0.0.0:{PORT}"]
        command += [] if args.states else ["--without-states"]
        command += ["--kubelet-ca", args.kubelet_ca] if args.kubelet_ca else []
        environment = [EnvVarArgs(name=key, value=value) for key, value in sorted((args.environment or {}).items())]
        container = ContainerArgs(
            name="exporter",
            image=args.image,
            image_pull_policy="IfNotPresent",
            command=command,
            env=environment,
            ports=[ContainerPortArgs(name=scrape.PORT_NAME, container_port=PORT)],
            readiness_probe=ProbeArgs(http_get=HTTPGetActionArgs(path="/metrics", port="metrics"), period_seconds=30, timeout_seconds=10),
            security_context=pods.container_security(),
            resources=pods.resources(cpu="20m", memory="192Mi"),
            volume_mounts=[pods.mount("tmp", "/tmp", writable=True), *args.mounts],  # noqa: S108 - a memory volume of the pod
        )
        pod = PodSpecArgs(
            service_account_name=self.name,
            automount_service_account_token=True,
            enable_service_links=False,
            security_context=pods.pod_security(),
            containers=[container],
            volumes=[pods.memory("tmp", "16Mi"), *args.volumes],
        )
        reach = {naming.access_label(store): "true" for store in args.stores}
        metadata = ObjectMetaArgs(labels=self.labels | reach, annotations=scrape.annotations(PORT))
        Deployment(
            f"{self.name}-server",
            metadata=self._meta(),
            spec=DeploymentSpecArgs(
                replicas=1,
                strategy=DeploymentStrategyArgs(type="Recreate"),
                selector=LabelSelectorArgs(match_labels=selector),
                template=PodTemplateSpecArgs(metadata=metadata, spec=pod),
            ),
            opts=self._child(tuple(before)),
        )
        Service(
            f"{self.name}-service",
            metadata=self._meta(),
            spec=ServiceSpecArgs(
                type="ClusterIP", selector=selector, ports=[ServicePortArgs(name="metrics", port=PORT, target_port="metrics")]
            ),
            opts=self._child(),
        )
        scrape.collected(f"{self.name}-monitor", args.collector, metadata=self._meta(), selector=selector, opts=self._child())
