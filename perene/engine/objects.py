"""The Kubernetes objects that a program wants, beside the registration of each, and how they are matched with live ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from perene.engine.kubectl import Manifest
from perene.engine.manifests import manifests
from perene.engine.program import Program, Registration

# kind, namespace ("" without), name: how two descriptions of one object are matched.
Key = tuple[str, str, str]
# Replacing one of these deletes data, or what leads to it.
DATA_KINDS = frozenset({"PersistentVolumeClaim", "PersistentVolume", "StatefulSet", "Namespace", "Secret", "StorageClass"})


@dataclass(frozen=True)
class Declared:
    """One object that the program wants. depends_on: URNs of objects that come before it."""

    registration: Registration
    manifest: Manifest
    depends_on: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """How it is matched with a live object."""
        return key(self.manifest)


def key(manifest: Manifest) -> Key:
    """Kind, namespace and name of an object."""
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def shown(what: Key) -> str:
    """An object's name for people: `StatefulSet direito-lux/main-g1`."""
    kind, namespace, name = what
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def declared(program: Program) -> tuple[Declared, ...]:
    """The program's Kubernetes objects, every one after those that it depends on. PereneError as `manifests` raises it."""
    by_urn = program.by_urn
    return tuple(Declared(by_urn[item.urn], dict(item.document), item.depends_on) for item in manifests(program))


def batches(wanted: Sequence[Declared], slow_kinds: frozenset[str]) -> list[list[Declared]]:
    """Groups that are applied together: a new one starts where an object depends on one that must be ready before."""
    groups: list[list[Declared]] = [[]]
    unready: set[str] = set()
    for item in wanted:
        if unready & set(item.depends_on):
            groups.append([])
            unready.clear()
        groups[-1].append(item)
        if item.manifest["kind"] in slow_kinds:
            unready.add(item.registration.urn)
    return [group for group in groups if group]
