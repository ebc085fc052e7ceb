"""What a health check looks at: the tier document, its cluster, its secrets by reference, and the exporter's figures."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from perene.contract.tier import SecretRef, TierDocument
from perene.health.figures import Figures
from perene.health.kube import Api

Resolve = Callable[[SecretRef], bytes]


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What the checks look at. resolve: a secret's reference to its value; figures: the exporter's; history: file of volume use."""

    document: TierDocument
    api: Api
    resolve: Resolve
    figures: Callable[[], Figures]
    history: Path | None = None
    clock: Callable[[], float] = field(default=time.time)

    @property
    def stack(self) -> str:
        """The stack's name, for the commands to type."""
        return self.document.stack

    def path(self, kind: str, api: str = "/api/v1") -> str:
        """Where objects of the tier's namespace are listed."""
        return f"{api}/namespaces/{self.document.namespace}/{kind}"
