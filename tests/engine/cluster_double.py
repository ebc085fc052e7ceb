"""A double of kubectl for refusals and diffs that need no cluster; tests/e2e asks a real one."""

import copy
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from perene.engine.kubectl import Answer, Kubectl, Manifest
from perene.engine.objects import Key, key
from perene.engine.program import Program, Registration


class DoubleOfKubectl(Kubectl):
    """Holds objects in memory. refuse: object -> what the server would say to a dry run; calls: every changing call."""

    def __init__(self, objects: Iterable[Manifest] = (), refuse: dict[Key, str] | None = None) -> None:
        super().__init__(Path("double"), "double")
        object.__setattr__(self, "objects", {key(item): copy.deepcopy(item) for item in objects})
        object.__setattr__(self, "refuse", refuse or {})
        object.__setattr__(self, "calls", [])

    def ready(self) -> None:
        return

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        return next(
            (item for what, item in self.objects.items() if what == (item["kind"], namespace or "", name) and what[0].lower() == kind), None
        )

    def find(self, kinds: Sequence[str], *, namespace: str | None = None, selector: str = "") -> list[Manifest]:
        wanted = {name.partition(".")[0].rstrip("s") for name in kinds}
        labels = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
        return [
            item
            for item in self.objects.values()
            if item["metadata"].get("namespace") == namespace
            and item["kind"].lower().removesuffix("y").rstrip("s") in {name.removesuffix("ie") for name in wanted}
            and labels.items() <= item["metadata"].get("labels", {}).items()
        ]

    def live(self, manifests: Iterable[Manifest]) -> list[Manifest]:
        return [self.objects[key(item)] for item in manifests if key(item) in self.objects]

    def ask(self, *arguments: str, stdin: str | None = None, **_: int) -> Answer:
        sent = json.loads(stdin or '{"items": []}')["items"]
        refused = [self.refuse[key(item)] for item in sent if key(item) in self.refuse]
        if refused:
            return Answer(1, "", refused[0])
        if not any(word.startswith("--dry-run") for word in arguments):
            self.calls.append((arguments[0], *(key(item) for item in sent)) if sent else arguments[:3])
        merged = [_merged(self.objects.get(key(item), {}), item) for item in sent]
        return Answer(0, json.dumps({"kind": "List", "items": merged}), "")

    def run(self, *arguments: str, stdin: str | None = None, **_: int) -> str:
        return self.ask(*arguments, stdin=stdin).stdout


def program(*resources: Registration, environment: str = "dev", guarded: bool = False) -> Program:
    """A program that declares these resources, with the smallest tier document."""
    tier = {
        "document": "tier",
        "version": 1,
        "stack": "dev",
        "system": "lux",
        "environment": environment,
        "owner": "x@y.example",
        "guarded": guarded,
        "namespace": "lux",
        "stores": {},
    }
    return Program(project="perene", stack="dev", resources=tuple(sorted(resources, key=lambda item: item.urn)), outputs={"tier": tier})


def resource(kind: str, name: str, *, after: Sequence[Registration] = (), protect: bool = False, **content: Any) -> Registration:
    """A Kubernetes object as the program registers it, with the stack's label."""
    version = {"StatefulSet": "apps/v1", "Job": "batch/v1"}.get(kind, "core/v1")
    token = f"kubernetes:{version}:{kind}"
    metadata = {"name": name, "namespace": "lux", "labels": {"perene.dev/stack": "dev"}}
    return Registration(
        urn=f"urn:pulumi:dev::perene::{token}::{name}",
        type=token,
        name=name,
        parent=None,
        custom=True,
        id=f"lux/{name}",
        inputs={"apiVersion": version.removeprefix("core/"), "kind": kind, "metadata": metadata, **content},
        outputs={},
        dependencies=tuple(item.urn for item in after),
        protect=protect,
    )


def live(item: Registration, **more: Any) -> Manifest:
    """The object of a registration as the cluster would hold it."""
    return _merged({"metadata": {"uid": "1", "resourceVersion": "7"}, "status": {}}, dict(item.inputs)) | more


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {field: _merged(old.get(field), value) for field, value in new.items()}
    return copy.deepcopy(new)
