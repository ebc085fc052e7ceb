"""Kubernetes Secrets as a vault: read, and create what is missing; an existing one is never changed."""

import base64
from collections.abc import Iterable

from perene.custody import sentinel
from perene.custody.material import Content
from perene.custody.needed import Needed
from perene.engine.kubectl import Kubectl, Manifest


class ClusterSecrets:
    """The Secrets of one tier's namespace. Values pass over stdin and stdout only, never as arguments."""

    def __init__(self, kubectl: Kubectl, stack: str, namespace: str) -> None:
        self.kubectl, self.stack, self.namespace = kubectl, stack, namespace

    def ensure_namespace(self) -> bool:
        """Make the namespace where it is missing: True when it is new."""
        if self.kubectl.get("namespace", self.namespace):
            return False
        labels = {"app.kubernetes.io/managed-by": "perene", "perene.dev/stack": self.stack}
        return self.kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}})

    def read(self, names: Iterable[str]) -> dict[str, Content]:
        """Name -> content of those that exist."""
        wanted = set(names)
        found = self.kubectl.find(["secrets"], namespace=self.namespace)
        return {item["metadata"]["name"]: _decoded(item) for item in found if item["metadata"]["name"] in wanted}

    def claims(self) -> set[str]:
        """Names of the volume claims that exist."""
        return {item["metadata"]["name"] for item in self.kubectl.find(["persistentvolumeclaims"], namespace=self.namespace)}

    def create(self, secret: Needed, content: Content) -> bool:
        """Create one Secret; False when another run was faster."""
        labels = {
            "app.kubernetes.io/managed-by": "perene",
            "perene.dev/custody": secret.purpose,
            # Not perene.dev/stack: that label is what pruning goes by.
            "perene.dev/custody-of": self.stack,
        }
        if secret.purpose == "encryption-key":
            labels["perene.dev/key-fingerprint"] = sentinel.fingerprint(content[secret.ref.key])
        data = {key: base64.b64encode(value).decode() for key, value in sorted(content.items())}
        metadata = {"name": secret.name, "namespace": self.namespace, "labels": labels}
        return self.kubectl.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data})

    def retire(self, secret: Needed) -> None:
        """Delete one Secret: a cluster keeps nothing of it, the escrow does."""
        self.kubectl.run("delete", "secret", secret.name, "--namespace", self.namespace, "--ignore-not-found")


def _decoded(item: Manifest) -> Content:
    return {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}
