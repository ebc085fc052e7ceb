"""Which secrets a tier needs: computed from its document, the same list for every vault."""

from dataclasses import dataclass
from typing import Literal

from perene.contract.tier import PostgresEndpoint, SecretRef, Store, TierDocument

Purpose = Literal["ca", "certificate", "password", "repository", "encryption-key", "sentinel", "signing"]
CA = "perene-ca"


@dataclass(frozen=True, kw_only=True)
class Needed:
    """One secret. keys: what it holds; hosts: names that a certificate carries; user: whose password it is.

    volume: the claim whose content only this secret opens: once that exists, the secret is never made anew.
    """

    purpose: Purpose
    ref: SecretRef
    keys: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    user: str = ""
    volume: str = ""

    @property
    def name(self) -> str:
        """The Secret's name, or the vault's secret id."""
        return self.ref.name


def needed(tier: TierDocument) -> tuple[Needed, ...]:
    """Every secret that the tier refers to, in the order in which they can be made."""
    found = [secret for store in tier.stores.values() for secret in _of_store(store, tier.namespace)]
    if any(secret.purpose == "certificate" for secret in found):
        found.insert(0, Needed(purpose="ca", ref=_in_cluster(tier, CA, "ca.crt"), keys=("ca.crt", "ca.key")))
    if tier.repository:
        claim = tier.repository.claim or ""
        found.append(Needed(purpose="repository", ref=tier.repository.password, keys=(tier.repository.password.key,), volume=claim))
    if tier.encryption_key:
        ref, seal = tier.encryption_key.ref, tier.encryption_key.sentinel
        found.append(Needed(purpose="encryption-key", ref=ref, keys=(ref.key,)))
        found += [Needed(purpose="sentinel", ref=seal, keys=(seal.key,))] if seal else []
    if tier.signing:
        found.append(Needed(purpose="signing", ref=tier.signing, keys=(tier.signing.key,)))
    return tuple({(secret.ref.vault, secret.ref.scope, secret.name): secret for secret in found}.values())


def _of_store(store: Store, namespace: str) -> list[Needed]:
    found = []
    if isinstance(store.endpoint, PostgresEndpoint) and store.endpoint.ca and store.workload:
        hosts = server_names(store.workload, namespace)
        found.append(Needed(purpose="certificate", ref=store.endpoint.ca, keys=("ca.crt", "tls.crt", "tls.key"), hosts=hosts))
    claim = store.volume.claim if store.volume else ""
    for login in store.logins.values():
        if login.password:
            found.append(Needed(purpose="password", ref=login.password, keys=("password", "username"), user=login.user, volume=claim))
    return found


def server_names(workload: str, namespace: str) -> tuple[str, ...]:
    """The names under which clients reach a Service, from the shortest on, and localhost for a forwarded port."""
    inside = (workload, f"{workload}.{namespace}", f"{workload}.{namespace}.svc", f"{workload}.{namespace}.svc.cluster.local")
    return (*inside, "localhost")


def _in_cluster(tier: TierDocument, name: str, key: str) -> SecretRef:
    return SecretRef(vault="kubernetes", scope=tier.namespace, name=name, key=key)
