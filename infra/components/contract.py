"""The contract in the cluster: one ConfigMap per store, and one for the tier, from which jobs and people read what runs here.

Owns: those ConfigMaps. Deliberately does not own: anything that they describe.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from infra import guards, naming


@dataclass(frozen=True, kw_only=True)
class ContractArgs:
    """tier: the whole document (perene.contract.tier), plain values only; its `stores` are published one by one too."""

    namespace: str
    labels: Mapping[str, str]
    tier: Mapping[str, Any]
    protect: bool


class Contract(pulumi.ComponentResource):
    """The tier document as ConfigMaps."""

    def __init__(self, name: str, args: ContractArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:Contract", name, None, opts)
        documents = {naming.TIER_CONFIG: ("tier.json", args.tier)}
        # By the store's name alone: what it says is about the live generation, whichever that is.
        documents |= {f"{store}-contract": ("store.json", entry) for store, entry in args.tier["stores"].items()}
        for config, (file, document) in documents.items():
            ConfigMap(
                config,
                metadata={"name": config, "namespace": args.namespace, "labels": dict(args.labels)},
                data={file: json.dumps(document, indent=2)},
                opts=guards.within(self, protect=args.protect),
            )
        self.register_outputs({})
