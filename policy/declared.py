"""One declared resource as the rules see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perene.safety.catalog import Kind, kind_of


@dataclass(frozen=True)
class Declared:
    """type: token; inputs: property tree in the provider's camelCase; protect: the engine's guard, inherited ones included."""

    type: str
    urn: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    custom: bool = True

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def environment(self) -> str:
        """dev, staging or prod: the last part of the stack's name."""
        return environment_of(self.urn)

    @property
    def guarded(self) -> bool:
        """Whether every resource must be guarded: everywhere but in dev."""
        return self.environment != "dev"

    @property
    def kind(self) -> Kind:
        """What the catalogue says about its type."""
        return kind_of(self.type, custom=self.custom and not self.type.startswith("perene:"))

    def at(self, path: str) -> Any:
        """The value at a path, None when it is not declared."""
        value: Any = self.inputs
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


def environment_of(urn: str) -> str:
    """The environment in a URN."""
    parts = urn.split(":")
    return parts[2].rsplit("-", 1)[-1] if len(parts) > 2 else ""
