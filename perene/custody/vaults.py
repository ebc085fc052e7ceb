"""Every vault of a tier behind one face: the cluster's Secrets, and the cloud's where the tier refers to it."""

from collections.abc import Callable, Iterable

from perene.custody.cloud_secrets import Vault
from perene.custody.cluster_secrets import ClusterSecrets
from perene.custody.material import Content
from perene.custody.needed import Needed


def cloud(vault: str) -> Vault:
    """A cloud's vault by its name in references."""
    # A cloud's SDK costs a second to import: only the one that is used is imported.
    if vault == "gcp":
        from perene.custody.google_secrets import GoogleSecrets  # noqa: PLC0415

        return GoogleSecrets()
    from perene.custody.aws_secrets import AwsSecrets  # noqa: PLC0415

    return AwsSecrets()


class Vaults:
    """Reads and creates each secret in the vault that its reference names. A cloud is asked only when a secret lives there."""

    def __init__(self, cluster: ClusterSecrets, open_cloud: Callable[[str], Vault] = cloud) -> None:
        self.cluster, self._open = cluster, open_cloud
        self._clouds: dict[str, Vault] = {}

    @property
    def place(self) -> str:
        """Where a person finds what lies in the cluster."""
        return f"{self.cluster.namespace} in context {self.cluster.kubectl.context}"

    def read(self, secrets: Iterable[Needed]) -> dict[str, Content]:
        """Name -> content of those that exist."""
        wanted = list(secrets)
        in_cluster = [secret.name for secret in wanted if secret.ref.vault == "kubernetes"]
        found = self.cluster.read(in_cluster) if in_cluster else {}
        for cloud in dict.fromkeys(secret.ref.vault for secret in wanted if secret.ref.vault != "kubernetes"):
            found |= self._cloud(cloud).read(secret for secret in wanted if secret.ref.vault == cloud)
        return found

    def create(self, secret: Needed, content: Content) -> bool:
        """Create one; False when another run was faster."""
        if secret.ref.vault == "kubernetes":
            return self.cluster.create(secret, content)
        return self._cloud(secret.ref.vault).create(secret, content)

    def retire(self, secret: Needed) -> None:
        """Take a value out of use: whoever calls has shown that nothing needs it."""
        (self.cluster if secret.ref.vault == "kubernetes" else self._cloud(secret.ref.vault)).retire(secret)

    def _cloud(self, vault: str) -> Vault:
        if vault not in self._clouds:
            self._clouds[vault] = self._open(vault)
        return self._clouds[vault]
