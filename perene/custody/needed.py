"""Which secrets a tier needs: computed from its document, the same list for every vault."""

from dataclasses import dataclass
from typing import Literal

from perene.contract.tier import SecretRef, Store, TierDocument

Purpose = Literal["ca", "certificate", "password", "repository", "encryption-key", "sentinel", "signing"]
CA = "perene-ca"


@dataclass(frozen=True, kw_only=True)
class Needed:
    """One secret. keys: what it holds; hosts: names that a certificate carries; user: whose password it is.

    volume: the claim whose content only this secret opens: once that exists, the secret is never made anew.
    generation: of the encryption key or its sentinel; superseded: a later key took its place, so that it is never made (any more).
    """

    purpose: Purpose
    ref: SecretRef
    keys: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    user: str = ""
    volume: str = ""
    generation: int = 0
    superseded: bool = False

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
        for number, one in tier.encryption_key.generations.items():
            superseded = number < tier.encryption_key.generation
            made: tuple[tuple[Purpose, SecretRef | None], ...] = (("encryption-key", one.ref), ("sentinel", one.sentinel))
            for purpose, ref in made:
                found += [Needed(purpose=purpose, ref=ref, keys=(ref.key,), generation=number, superseded=superseded)] if ref else []
    if tier.signing:
        found.append(Needed(purpose="signing", ref=tier.signing, keys=(tier.signing.key,)))
    return tuple({(secret.ref.vault, secret.ref.scope, secret.name): secret for secret in found}.values())


def _of_store(store: Store, namespace: str) -> list[Needed]:
    found = []
    if store.endpoint and store.endpoint.ca and store.workload:
        hosts = server_names(store.workload, namespace)
        found.append(Needed(purpose="certificate", ref=store.endpoint.ca, keys=("ca.crt", "tls.crt", "tls.key"), hosts=hosts))
    # Redis and Qdrant read their passwords from the Secrets at every start: a new one opens the same volume.
    claim = store.volume.claim if store.volume and store.kind not in {"redis", "qdrant"} else ""
    for name, login in store.logins.items():
        if login.password:
            # The exporter's login came after many a volume was made, and opens no data: it may be made beside one.
            volume = "" if store.rights.get(name) == "monitor" else claim
            found.append(Needed(purpose="password", ref=login.password, keys=("password", "username"), user=login.user, volume=volume))
    return found


def server_names(workload: str, namespace: str) -> tuple[str, ...]:
    """The names under which clients reach a Service, from the shortest on, and localhost for a forwarded port."""
    inside = (workload, f"{workload}.{namespace}", f"{workload}.{namespace}.svc", f"{workload}.{namespace}.svc.cluster.local")
    return (*inside, "localhost")


def _in_cluster(tier: TierDocument, name: str, key: str) -> SecretRef:
    return SecretRef(vault="kubernetes", scope=tier.namespace, name=name, key=key)
