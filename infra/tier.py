"""What every part of the build knows: the configuration, the stack, and how things are called in it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pulumi

from infra import guards, naming, permissions
from infra.components.scrape import Collector
from infra.config import stores as kinds
from infra.config.model import Aws, Gcp, Tier

# On a local cluster perene loads its own images under these names; the family says which collations the data was sorted by.
LOCAL_IMAGES = {
    "postgres": "perene.local/postgres:17-trixie",
    "ops": "perene.local/ops:1-trixie",
    "redis": "perene.local/redis:8-trixie",
    "rabbitmq": "perene.local/rabbitmq:4-trixie",
    "qdrant": "perene.local/qdrant:1.18",
}
IMAGE_FAMILY = "debian-13"
# The key inside the Kubernetes Secret `perene-<purpose>`.
KUBERNETES_KEYS = {"restic": "password", "encryption-key": "key", "sentinel": "sentinel", "signing": "ed25519.key"}


@dataclass(frozen=True)
class Context:
    """One run of the program. providers: the explicit providers that components use."""

    tier: Tier
    stack: str
    providers: tuple[pulumi.ProviderResource, ...]

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels of Kubernetes objects."""
        return naming.labels(self.stack, self.tier.system, self.tier.environment)

    @cached_property
    def cloud_labels(self) -> dict[str, str]:
        """Labels of cloud resources: lower case, no dots or slashes."""
        return {"managed-by": "perene", "system": self.tier.system, "environment": self.tier.environment}

    @property
    def namespace(self) -> str:
        """The tier's namespace."""
        return self.tier.cluster.namespace

    @property
    def gcp(self) -> Gcp:
        """Where Google Cloud resources go; the configuration has checked that it is said where it is needed."""
        if self.tier.clouds.gcp is None:
            raise ValueError("clouds.gcp is missing, which the configuration's rules should have found")
        return self.tier.clouds.gcp

    @property
    def aws(self) -> Aws:
        """Where AWS resources go; the configuration has checked that it is said where it is needed."""
        if self.tier.clouds.aws is None:
            raise ValueError("clouds.aws is missing, which the configuration's rules should have found")
        return self.tier.clouds.aws

    @property
    def collector(self) -> Collector:
        """Who scrapes the tier's exporters."""
        if self.tier.alerts and self.tier.alerts.operator is not None:
            return "operator"
        return "google" if self.tier.cluster.kind == "gke" else "annotations"

    def options(self) -> pulumi.ResourceOptions:
        """Options of a component."""
        return guards.component(protect=self.tier.guarded, providers=self.providers)

    def image(self, kind: str) -> str:
        """An image by digest from the configuration (a field of `Images`), or the one that perene loads into a local cluster."""
        return str(getattr(self.tier.images, kind) or "") if self.tier.images else LOCAL_IMAGES[kind]

    def kubernetes_secret(self, name: str, key: str) -> dict[str, str]:
        """A reference to a key of a Kubernetes Secret."""
        return {"vault": "kubernetes", "scope": self.namespace, "name": name, "key": key}

    @cached_property
    def vault_purposes(self) -> dict[str, str]:
        """Every secret of the tier's vault, with every generation of the key -> the purpose that says who reads it."""
        key = self.tier.encryption_key
        generations = sorted({*map(int, key.earlier), key.generation}) if key else [1]
        found = {purpose: purpose for purpose in permissions.SECRETS if purpose not in permissions.GENERATIONS}
        return found | {naming.key_purpose(one, number): one for number in generations for one in permissions.GENERATIONS}

    def vault_id(self, named: str) -> str:
        """The physical name of a secret in the vault: fixed, or the adopted one's."""
        key = self.tier.encryption_key
        if key and key.kind == "gcp-secret-manager" and key.adopt and named == "encryption-key":
            return key.adopt
        return naming.secret_id(self.tier.system, self.tier.environment, named)

    def secret(self, purpose: str, generation: int = 1) -> dict[str, str]:
        """A reference to one of the tier's own secrets (infra.permissions.SECRETS), in the vault or, in dev, in the cluster."""
        key = self.tier.encryption_key
        named = naming.key_purpose(purpose, generation)
        vault_id = self.vault_id(named)
        if key and key.kind == "gcp-secret-manager":
            return {"vault": "gcp", "scope": self.gcp.project, "name": vault_id, "key": ""}
        if key and key.kind == "aws-secrets-manager":
            return {"vault": "aws", "scope": self.aws.region, "name": vault_id, "key": ""}
        return self.kubernetes_secret(f"perene-{named}", KUBERNETES_KEYS[purpose])

    def shared_entry(self, store: kinds.Postgres | kinds.CloudSql) -> dict[str, Any]:
        """The part of a store's contract entry that is the same for every kind."""
        goals = store.goals or self.tier.goals
        first = next(iter(store.databases))
        return {
            "generation": store.generation,
            "version": str(store.version),
            "databases": {database: list(settings.schemas) for database, settings in store.databases.items()},
            "rights": {"admin": "admin", **store.users},
            "goals": {"rpo": str(goals.rpo), "rto": str(goals.rto)},
            "checks": [{"count": check.count, "at_least": check.at_least, "database": check.database or first} for check in store.checks],
            "slow_query": str(store.slow_query),
            "guarded": self.tier.guarded,
        }
