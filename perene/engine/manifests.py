"""The Kubernetes objects of a program as plain manifests, in the order in which they can be applied."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from perene.engine.program import Program, Registration, Secret, Unknown
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode

PREFIX = "kubernetes:"
# Kinds without a namespace. Any other kind without one takes the provider's, as the real provider does.
CLUSTER_SCOPED = frozenset(
    {
        "Namespace", "PersistentVolume", "StorageClass", "VolumeAttributesClass", "CSIDriver", "CSINode", "VolumeSnapshotClass",
        "VolumeSnapshotContent", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PriorityClass", "RuntimeClass",
        "IngressClass", "APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding", "Node", "CertificateSigningRequest",
    }
)  # fmt: skip
# Where nothing depends on anything, what others refer to by name comes first.
FIRST = ("Namespace", "CustomResourceDefinition", "StorageClass", "PriorityClass", "ServiceAccount", "PersistentVolume")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One object. document: the manifest itself, as `kubectl apply` takes it; depends_on: URNs of manifests that come before it."""

    urn: str
    api_version: str
    kind: str
    namespace: str | None
    name: str
    document: Mapping[str, Any]
    protect: bool
    depends_on: tuple[str, ...]

    @property
    def path(self) -> str:
        """How a person names it: `namespace/Kind/name`."""
        return "/".join(filter(None, (self.namespace, self.kind, self.name)))


def manifests(program: Program) -> tuple[Manifest, ...]:
    """The program's Kubernetes objects, each after those that it depends on.

    PereneError (exit 3) with every object that cannot stand as a plain manifest: without a name, of a kind that only the provider knows,
    with a secret or an unknown value in it, or two of one name.
    """
    objects = [resource for resource in program.resources if resource.type.startswith(PREFIX)]
    problems = [problem for resource in objects for problem in _problems(resource)]
    if not problems:
        by_urn = program.by_urn
        made = {resource.urn: _manifest(resource, by_urn) for resource in objects}
        problems = list(_collisions(made.values()))
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    return tuple(_ordered(_with_edges(made, program)))


def kind_of(token: str) -> tuple[str, str]:
    """`kubernetes:core/v1:Service` -> (`v1`, `Service`)."""
    _, group_version, kind = token.split(":")
    return group_version.removeprefix("core/"), kind


def _problems(resource: Registration) -> Iterator[Problem]:
    _, kind = kind_of(resource.type)
    if "/" not in resource.type.split(":")[1] or kind.endswith(("Patch", "List")):
        yield Problem(what=f"{kind} is no object of Kubernetes", where=resource.urn, fix="declare the objects themselves")
    if "name" not in resource.inputs.get("metadata", {}):
        yield Problem(
            what="has no metadata.name",
            where=resource.urn,
            why="the engine would make one up, another one each time",
            fix="name it (infra/naming.py)",
        )
    for path, value in _leaves(resource.inputs, ""):
        if isinstance(value, Secret):
            yield Problem(
                what="holds a secret",
                where=f"{resource.urn}: {path}",
                why="a manifest on disk would show it",
                fix="refer to a Secret that `perene secrets init` makes",
            )
        if isinstance(value, Unknown):
            yield Problem(what="depends on a value that only an apply can know", where=f"{resource.urn}: {path}", fix="configure the value")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _manifest(resource: Registration, by_urn: Mapping[str, Registration]) -> Manifest:
    api_version, kind = kind_of(resource.type)
    metadata = dict(resource.inputs["metadata"])
    if kind not in CLUSTER_SCOPED and "namespace" not in metadata:
        provider = by_urn.get(resource.provider or "")
        metadata["namespace"] = provider.inputs.get("namespace", "default") if provider else "default"
    rest = {key: value for key, value in resource.inputs.items() if key not in {"apiVersion", "kind", "metadata"}}
    return Manifest(
        urn=resource.urn,
        api_version=api_version,
        kind=kind,
        namespace=metadata.get("namespace"),
        name=metadata["name"],
        document={"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest},
        protect=resource.protect,
        depends_on=(),
    )


def _collisions(made: Iterable[Manifest]) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str | None, str], str] = {}
    for manifest in made:
        group = manifest.api_version.rpartition("/")[0]
        first = seen.setdefault((group, manifest.kind, manifest.namespace, manifest.name), manifest.urn)
        if first != manifest.urn:
            yield Problem(
                what=f"is the same object as {first}: {manifest.path}",
                where=manifest.urn,
                why="the two would overwrite each other for ever",
                fix="give one of them another name",
            )


def _with_edges(made: Mapping[str, Manifest], program: Program) -> dict[str, Manifest]:
    """The manifests with what each waits for: its dependencies (a component stands for all inside it) and its namespace."""
    by_urn = program.by_urn
    inside: dict[str, list[str]] = {}
    for resource in program.resources:
        above = resource.parent
        while above:
            inside.setdefault(above, []).append(resource.urn)
            above = by_urn[above].parent if above in by_urn else None
    namespaces = {manifest.name: urn for urn, manifest in made.items() if manifest.kind == "Namespace"}
    waiting = {}
    for urn, manifest in made.items():
        wanted = {inner for dependency in by_urn[urn].dependencies for inner in (dependency, *inside.get(dependency, ()))}
        wanted |= {namespaces[manifest.namespace]} if manifest.namespace in namespaces else set()
        waiting[urn] = replace(manifest, depends_on=tuple(sorted((wanted & made.keys()) - {urn})))
    return waiting


def _ordered(made: Mapping[str, Manifest]) -> Iterator[Manifest]:
    def key(urn: str) -> tuple[int, str]:
        kind = made[urn].kind
        return (FIRST.index(kind) if kind in FIRST else len(FIRST), urn)

    waiting = {urn: len(manifest.depends_on) for urn, manifest in made.items()}
    followers: dict[str, list[str]] = {}
    for urn, manifest in made.items():
        for dependency in manifest.depends_on:
            followers.setdefault(dependency, []).append(urn)
    ready = [key(urn) for urn, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    while ready:
        _, urn = heapq.heappop(ready)
        yield made[urn]
        for follower in followers.get(urn, ()):
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, key(follower))
