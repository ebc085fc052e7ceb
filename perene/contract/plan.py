"""The plan document: a tier as it is declared, for people and machines: what there is, how it is guarded, where its copies are."""

from typing import Any, ClassVar, Literal

from perene.contract.base import Document, Value
from perene.contract.tier import Environment

CopyKind = Literal["recovery-set", "automated", "pitr", "sealed", "rebuild"]


class Copy(Value):
    """One way back of a store.

    where: bucket, volume or place; made: when (`daily at 01:00 America/Sao_Paulo`); kept: for how long; proven: how often it is restored
    and compared (empty: never); caution: what takes this copy along.
    """

    kind: CopyKind
    where: str
    made: str
    kept: str
    proven: str = ""
    caution: str = ""


class PlannedStore(Value):
    """One store and its ways back. size: of its volume or disk; where: namespace and workload, or the service's region."""

    name: str
    kind: str
    generation: int
    version: str
    where: str
    size: str
    rpo: str
    rto: str
    guarded: bool
    copies: tuple[Copy, ...]


class PlannedResource(Value):
    """One resource. guards: what stands between it and a deletion, in words; size: empty where it has none; data: whether it holds data."""

    urn: str
    type: str
    name: str
    object: str
    protected: bool
    data: bool
    size: str = ""
    guards: tuple[str, ...] = ()


class PlannedComponent(Value):
    """One component with everything inside it. store: the store that it belongs to, empty for the tier's own parts."""

    urn: str
    type: str
    name: str
    store: str
    resources: tuple[PlannedResource, ...]


class PropertyDifference(Value):
    """One property that differs: its path and both values (None: not set); secrets masked."""

    path: str
    here: Any
    there: Any


class ResourceDifference(Value):
    """A resource that only one stack declares, or that both declare differently. key: the URN without project and stack."""

    key: str
    found: Literal["only-here", "only-there", "differs"]
    properties: tuple[PropertyDifference, ...] = ()


class Comparison(Value):
    """What another stack declares differently."""

    stack: str
    same: int
    differences: tuple[ResourceDifference, ...]


class PlanDocument(Document):
    """One tier as declared. counts: type token -> how many; messages: what the program said; mermaid: the picture as Mermaid text."""

    KIND: ClassVar[str] = "plan"
    document: Literal["plan"] = "plan"
    version: Literal[1] = 1
    stack: str
    system: str
    environment: Environment
    owner: str
    namespace: str
    guarded: bool
    key: str
    stores: tuple[PlannedStore, ...]
    components: tuple[PlannedComponent, ...]
    counts: dict[str, int]
    messages: tuple[str, ...] = ()
    mermaid: str
    against: Comparison | None = None
