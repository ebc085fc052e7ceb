"""A backup repository on a volume of its own, for a dev tier.

Owns: the claim. Deliberately does not own: the repository inside, which the first backup makes.

Produces the following resources:
    PersistentVolumeClaim data-<name>-0
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import PersistentVolumeClaim, PersistentVolumeClaimSpecArgs, VolumeResourceRequirementsArgs

from infra import guards, naming
from infra.components import pods
from perene.contract.values import Size


@dataclass(frozen=True, kw_only=True)
class RepositoryVolumeArgs:
    """Where and how large."""

    namespace: str
    labels: Mapping[str, str]
    storage_class: str
    size: Size
    protect: bool


class RepositoryVolume(pulumi.ComponentResource):
    """A volume for backups. claim: its name; volume: the claim itself, for what must not wait for it before it is declared."""

    claim: str
    volume: PersistentVolumeClaim

    def __init__(self, name: str, args: RepositoryVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:RepositoryVolume", name, None, opts)
        self.claim = naming.claim(name)
        self.volume = PersistentVolumeClaim(
            f"{name}-data",
            metadata=pods.meta(self.claim, args.namespace, args.labels),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": args.size.kubernetes}),
            ),
            opts=guards.within(self, protect=args.protect),
        )
        self.register_outputs({"claim": self.claim})
