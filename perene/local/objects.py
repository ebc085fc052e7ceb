"""What a fresh cluster needs beside Kubernetes' own objects: the storage class, and rights for DNS and the volumes loop."""

from perene.local.api import Api, Object
from perene.local.volumes import PROVISIONER, STORAGE_CLASS

RBAC = "rbac.authorization.k8s.io"


def rules(resources: str, verbs: str, group: str = "") -> Object:
    """One RBAC rule from words."""
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


RIGHTS: dict[str, list[Object]] = {
    "perene:dns": [
        rules("endpoints services pods namespaces", "list watch"),
        rules("endpointslices", "list watch", "discovery.k8s.io"),
    ],
    "perene:volumes": [
        rules("persistentvolumeclaims", "get list watch"),
        rules("persistentvolumeclaims/status", "patch update"),
        rules("persistentvolumes", "get list create patch"),
        rules("events", "create"),
    ],
}


def wanted() -> dict[str, Object]:
    """Every object by its full path."""
    found: dict[str, Object] = {
        f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}": {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Retain",
            "allowVolumeExpansion": True,
            "volumeBindingMode": "Immediate",
        }
    }
    for name, granted in RIGHTS.items():
        base = f"/apis/{RBAC}/v1"
        metadata = {"name": name}
        role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        subject = {"apiGroup": RBAC, "kind": "User", "name": name}
        found[f"{base}/clusterroles/{name}"] = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": granted}
        found[f"{base}/clusterrolebindings/{name}"] = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [subject],
        }
    return found


def apply(api: Api) -> None:
    """Server-side apply of all of them; a second time changes nothing."""
    for path, body in wanted().items():
        api.apply(path, body)
