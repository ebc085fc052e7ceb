"""What a program declares: its registrations as plain values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MASK = "[secret]"


@dataclass(frozen=True)
class Secret:
    """A value that the program wrapped as a secret. Its text form never shows it."""

    value: Any = field(repr=False)

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__


@dataclass(frozen=True)
class Unknown:
    """A value that only an apply can know."""

    def __str__(self) -> str:
        return "[unknown]"


def masked(value: Any) -> Any:
    """The value with every Secret replaced by `[secret]` and every Unknown by `[unknown]`: safe to print and to store."""
    if isinstance(value, Secret | Unknown):
        return str(value)
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One resource as the program asked for it. Every reference to another resource is its URN.

    inputs and outputs: property trees in the provider's camelCase, secrets as `Secret`; parent: None directly under the stack;
    provider: None when the program left the choice to the engine; delete_before_replace: None when it was not said.
    """

    urn: str
    type: str
    name: str
    parent: str | None
    custom: bool
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    provider: str | None = None
    version: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    deleted_with: str | None = None
    retain_on_delete: bool = False
    delete_before_replace: bool | None = None
    replace_on_changes: tuple[str, ...] = ()
    replace_with: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    import_id: str | None = None
    custom_timeouts: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def component(self) -> bool:
        """Whether it is a component: a name for its children, without an object of its own."""
        return not self.custom

    @property
    def package(self) -> str:
        """The provider package: `kubernetes`, `gcp`, `aws`, `pulumi` for providers, `perene` for components."""
        return self.type.partition(":")[0]

    @property
    def options(self) -> dict[str, Any]:
        """The resource options that were set, under the engine's names (the form of `perene.contract.steps.ResourceState.options`)."""
        values = {
            "protect": self.protect,
            "ignoreChanges": list(self.ignore_changes),
            "deletedWith": self.deleted_with,
            "retainOnDelete": self.retain_on_delete,
            "deleteBeforeReplace": self.delete_before_replace,
            "replaceOnChanges": list(self.replace_on_changes),
            "replaceWith": list(self.replace_with),
            "additionalSecretOutputs": list(self.additional_secret_outputs),
            "aliases": list(self.aliases),
            "importID": self.import_id,
            "customTimeouts": dict(self.custom_timeouts),
            "resourceHooks": {moment: list(names) for moment, names in self.hooks.items()},
        }
        return {name: value for name, value in values.items() if value not in (False, None, [], {})}


@dataclass(frozen=True)
class Message:
    """What the program said while it ran. severity: `info`, `warning` or `error`."""

    severity: str
    text: str
    urn: str = ""


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything that one run of the program declared, resources in the order of their URNs."""

    project: str
    stack: str
    resources: tuple[Registration, ...]
    outputs: Mapping[str, Any]
    messages: tuple[Message, ...] = ()

    @property
    def stack_urn(self) -> str:
        """The URN of the stack itself, which is not among the resources."""
        return f"urn:pulumi:{self.stack}::{self.project}::pulumi:pulumi:Stack::{self.project}-{self.stack}"

    @property
    def by_urn(self) -> dict[str, Registration]:
        """The resources by URN."""
        return {resource.urn: resource for resource in self.resources}

    def of_type(self, token: str) -> Iterator[Registration]:
        """The resources of one type token."""
        return (resource for resource in self.resources if resource.type == token)

    def children(self, parent: str | None) -> Iterator[Registration]:
        """The resources directly under a component, or under the stack when parent is None."""
        return (resource for resource in self.resources if resource.parent == parent)
