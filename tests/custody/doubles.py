"""A double of the cluster's Secrets, for what needs no cluster; tests/e2e asks a real one."""

from collections.abc import Iterable
from pathlib import Path

from perene.contract.tier import (
    EncryptionKey,
    Goals,
    Login,
    PostgresEndpoint,
    Repository,
    SecretRef,
    Store,
    StoreBackup,
    TierDocument,
    Volume,
)
from perene.custody.cluster_secrets import ClusterSecrets
from perene.custody.material import Content
from perene.custody.needed import Needed
from perene.engine.kubectl import Kubectl


class DoubleOfClusterSecrets(ClusterSecrets):
    """Keeps Secrets in memory. existing_claims: volume claims that the namespace has."""

    def __init__(self) -> None:
        super().__init__(Kubectl(Path("double"), "double"), "dev", "lux")
        self.secrets: dict[str, Content] = {}
        self.existing_claims: set[str] = set()

    def ensure_namespace(self) -> bool:
        return False

    def read(self, names: Iterable[str]) -> dict[str, Content]:
        return {name: dict(self.secrets[name]) for name in names if name in self.secrets}

    def claims(self) -> set[str]:
        return self.existing_claims

    def create(self, secret: Needed, content: Content) -> bool:
        if secret.name in self.secrets:
            return False
        self.secrets[secret.name] = dict(content)
        return True

    def retire(self, secret: Needed) -> None:
        self.secrets.pop(secret.name, None)


def reference(name: str, key: str) -> SecretRef:
    return SecretRef(vault="kubernetes", scope="lux", name=name, key=key)


def tier(*, guarded: bool = False) -> TierDocument:
    """A tier with one PostgreSQL, a repository on a volume and a key."""
    store = Store(
        kind="postgres",
        generation=1,
        version="17",
        endpoint=PostgresEndpoint(host="main-g1.lux.svc.cluster.local", ca=reference("main-g1-tls", "ca.crt")),
        workload="main-g1",
        volume=Volume(claim="data-main-g1-0", size="1GiB", storage_class="perene-local", mount_path="/var/lib/perene"),
        databases={"lux": ("public",)},
        logins={user: Login(user=user, password=reference(f"main-g1-{user}", "password")) for user in ("admin", "app", "migrator")},
        backup=StoreBackup(ways=("logical",)),
        goals=Goals(rpo="24h", rto="1h"),
        guarded=guarded,
    )
    return TierDocument(
        stack="dev",
        system="lux",
        environment="dev",
        owner="x@y.example",
        guarded=guarded,
        namespace="lux",
        stores={"main": store},
        repository=Repository(kind="volume", url="/repository", password=reference("perene-restic", "password"), claim="perene-repository"),
        encryption_key=EncryptionKey(
            kind="kubernetes", ref=reference("perene-encryption-key", "key"), sentinel=reference("perene-sentinel", "sentinel")
        ),
        signing=reference("perene-signing", "ed25519.key"),
    )
