"""Rules on a whole stack: what must be there beside each store. They look at types and names only, which are always known."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from policy.declared import environment_of

Named = tuple[str, str]
_STORES = ("gcp:sql/databaseInstance:DatabaseInstance", "kubernetes:apps/v1:StatefulSet")
_GENERATION = re.compile(r"-g\d+-instance$")  # alerts belong to the store, whatever its generation
_BUCKETS = ("gcp:storage/bucket:Bucket", "aws:s3/bucket:Bucket")


@dataclass(frozen=True)
class PresenceRule:
    """One mandatory rule on all resources of a stack, each given as type and URN."""

    name: str
    description: str
    check: Callable[[Sequence[Named]], Iterator[str]]

    def violations(self, resources: Sequence[Named]) -> list[str]:
        """What is missing; nothing for a stack without a store, which is another project's."""
        return list(self.check(resources)) if any(kind in _STORES for kind, _ in resources) else []


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _alerts(resources: Sequence[Named]) -> Iterator[str]:
    names = {_name(urn) for kind, urn in resources if kind == "gcp:monitoring/alertPolicy:AlertPolicy"}
    rules = any(_name(urn).endswith("alerts-rules") for kind, urn in resources if kind == "kubernetes:core/v1:ConfigMap")
    for kind, urn in resources:
        store = _GENERATION.sub("", _name(urn))
        if kind == _STORES[0] and not any(name.startswith(f"{store}-alerts") for name in names):
            yield f"{_name(urn)} has no alert: its disk could fill and its backups fail in silence"
        if kind == _STORES[1] and not rules:
            yield f"{_name(urn)} has no alert rules beside it"


def _backup(resources: Sequence[Named]) -> Iterator[str]:
    repository = any(
        kind in (*_BUCKETS, "kubernetes:core/v1:PersistentVolumeClaim") and _name(urn).startswith("repository") for kind, urn in resources
    )
    if not repository:
        yield "there is no backup repository: every store needs a second way back"
    sealed = any(kind in _BUCKETS and _name(urn).startswith("sealed-copy") for kind, urn in resources)
    if any(environment_of(urn) == "prod" for _, urn in resources) and not sealed:
        yield "prod has no sealed copy: whoever may delete the tier may delete every backup"


def _contract(resources: Sequence[Named]) -> Iterator[str]:
    if not any(kind == "kubernetes:core/v1:ConfigMap" and _name(urn).endswith("tier") for kind, urn in resources):
        yield "the tier document is not in the cluster: jobs and restores would not know what there is, nor who owns it"


def _network(resources: Sequence[Named]) -> Iterator[str]:
    policies = {_name(urn) for kind, urn in resources if kind == "kubernetes:networking.k8s.io/v1:NetworkPolicy"}
    for kind, urn in resources:
        if kind == _STORES[1] and not any(policy.startswith(_name(urn)) for policy in policies):
            yield f"{_name(urn)} has no network policy: every pod of the cluster may try its password"


PRESENCE_RULES = (
    PresenceRule("alerts-present", "Every store has alerts.", _alerts),
    PresenceRule("backup-present", "Every store has a backup elsewhere.", _backup),
    PresenceRule("contract-present", "The tier document, with its owner, is where jobs read it.", _contract),
    PresenceRule("network-present", "Every store in the cluster names its clients.", _network),
)
