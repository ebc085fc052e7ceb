"""The images that a program names: those that perene builds are loaded into the cluster, all others are its own to pull."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from perene.engine.manifests import manifests
from perene.engine.program import Program
from perene.engine.progress import Progress
from perene.engine.target import Target
from perene.errors import PereneError
from perene.local import images
from perene.local.layout import Layout

# How an archive comes into a cluster that another tool made: context, archive -> command.
_LOADERS: dict[str, Callable[[str, str], list[str]]] = {
    "kind": lambda context, archive: ["kind", "load", "image-archive", archive, "--name", context.removeprefix("kind-")],
    "k3d": lambda context, archive: ["k3d", "image", "import", archive, "--cluster", context.removeprefix("k3d-")],
    "minikube": lambda _, archive: ["minikube", "image", "load", archive],
    "docker-desktop": lambda _, archive: ["docker", "load", "--input", archive],
}


def ensure(root: Path, target: Target, program: Program, progress: Progress) -> tuple[str, ...]:
    """Build what is missing and load it; the names of perene's images that the program uses."""
    wanted = set(named(program))
    own = [path.parent.name for path in sorted(images.DEFINITIONS.glob("*/image.toml"))]
    used = tuple(name for name in own if images.definition(name).reference in wanted)
    for name in used:
        if target.kind == "perene-local":
            images.load(Layout(root), name, progress.local)
        elif target.kind in _LOADERS:
            _load(root, target, name, progress)
        else:
            raise PereneError(
                f"the image {images.definition(name).reference} exists on this computer only",
                where=f"context {target.context}",
                fix="push it to a registry, and name it by digest in the stack file (perene:tier images)",
            )
    return used


def named(program: Program) -> Iterator[str]:
    """Every image that the program's pods name."""
    for item in manifests(program):
        yield from _images(item.document)


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        for item in value.values():
            yield from _images(item)
    elif isinstance(value, list):
        for item in value:
            yield from _images(item)


def _load(root: Path, target: Target, name: str, progress: Progress) -> None:
    archive = images.ensure(name, progress.local)
    record = root / ".perene" / "stacks" / f"{target.context}-{name}.loaded"
    if record.exists() and record.read_text() == archive.stem:
        return
    command = _LOADERS[target.kind](target.context, str(archive))
    progress.say(" ".join(command[:3]))
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise PereneError(f"{archive.name} was not loaded: {done.stderr.strip()}", where=" ".join(command[:3]))
    record.write_text(archive.stem)
