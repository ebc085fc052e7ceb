"""The step document: what one way of applying is about to do, in one form that the gate reads.

A step has the shape of the engine's preview step (`pulumi preview --json`), whichever way it was made.
"""

from typing import Any, ClassVar, Literal

from perene.contract.base import Document, Value

Way = Literal["pulumi-preview", "pulumi-destroy", "pulumi-refresh", "embedded", "declared"]


class ResourceState(Value):
    """One side of a step. inputs and outputs: property trees in the provider's camelCase; secrets masked as `[secret]`.

    options: the engine's resource options that were set (`protect`, `retainOnDelete`, `ignoreChanges`, `deletedWith`, `delete`,
    `pendingReplacement`, `resourceHooks`, ...); depends: input property -> URNs that its value comes from.
    """

    type: str
    id: str | None = None
    parent: str | None = None
    provider: str | None = None
    custom: bool = True
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    depends: dict[str, tuple[str, ...]] = {}


class PropertyChange(Value):
    """One changed property. path: `spec.resources.requests.storage`; kind: `add`, `delete`, `update`, each also with `-replace`."""

    path: str
    kind: str


class Step(Value):
    """One operation on one resource: `create`, `update`, `delete`, `replace`, `same`, ... with both states where they exist."""

    op: str
    urn: str
    old: ResourceState | None = None
    new: ResourceState | None = None
    changes: tuple[PropertyChange, ...] = ()
    replace_reasons: tuple[str, ...] = ()


class Diagnostic(Value):
    """A message of the engine. severity: `error`, `warning`, `info`."""

    severity: str
    message: str
    urn: str = ""


class StepDocument(Document):
    """All steps of one intended change.

    asked: the cluster or cloud really answered (a preview without changes never asks); with_sames: unchanged resources are listed too,
    without which a lifted guard is invisible; failed: the engine refused or broke off; gaps: other reasons why it may not be the whole
    truth, in words; tier: the `perene:tier` configuration as JSON text, when the document carries it.
    """

    KIND: ClassVar[str] = "steps"
    document: Literal["steps"] = "steps"
    version: Literal[1] = 1
    stack: str
    way: Way
    asked: bool
    with_sames: bool
    failed: bool = False
    gaps: tuple[str, ...] = ()
    tier: str = ""
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
