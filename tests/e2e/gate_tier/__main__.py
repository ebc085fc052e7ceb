"""A small tier on a real cluster; CHANGE names one change of it (see changes.py)."""

import os

import pulumi
import pulumi_kubernetes as k8s
from changes import tier

NAMESPACE = os.environ["GATE_NAMESPACE"]
provider = k8s.Provider(
    "cluster",
    namespace=NAMESPACE,
    cluster_identifier="gate-tests",
    enable_config_map_mutable=True,
    enable_secret_mutable=True,
    enable_server_side_apply=True,
)
CONSTRUCTORS = {
    "Namespace": k8s.core.v1.Namespace,
    "PersistentVolumeClaim": k8s.core.v1.PersistentVolumeClaim,
    "Secret": k8s.core.v1.Secret,
    "ConfigMap": k8s.core.v1.ConfigMap,
    "StatefulSet": k8s.apps.v1.StatefulSet,
    "CronJob": k8s.batch.v1.CronJob,
    "StorageClass": k8s.storage.v1.StorageClass,
    "NetworkPolicy": k8s.networking.v1.NetworkPolicy,
    "Role": k8s.rbac.v1.Role,
    "PodDisruptionBudget": k8s.policy.v1.PodDisruptionBudget,
}


class Tier(pulumi.ComponentResource):
    """A component, so that it can be renamed."""

    def __init__(self, name: str) -> None:
        super().__init__("perene:test:Tier", name)


wanted = tier(NAMESPACE, os.environ.get("CHANGE", ""))
# The embedded way refuses a program that carries a secret, before anything else.
for name in filter(None, os.environ.get("GATE_WITHOUT", "").split(",")):
    wanted.pop(name, None)
component = Tier(wanted.pop("component")["name"])
for key, declared in wanted.items():
    options = dict(declared.get("options", {}))
    CONSTRUCTORS[declared["kind"]](
        declared.get("logical", key),
        **declared["spec"],
        opts=pulumi.ResourceOptions(parent=component, provider=provider, **options),
    )
