"""Image archives as `docker save` writes them: layers, a configuration, a manifest; the same input gives the same bytes."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a container of the image starts and stops."""

    command: tuple[str, ...]
    environment: tuple[str, ...]
    user: str
    stop_signal: str
    labels: tuple[tuple[str, str], ...]


def write_layer(path: Path, files: Mapping[str, Path], *, moment: int) -> None:
    """A layer of a few executable files, by their path in the image. `moment`: seconds since 1970 for every file."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, source in sorted(files.items()):
            _add(tar, name, source.read_bytes(), moment, mode=0o755)


def write_tree(path: Path, tree: Path, prefix: str, *, moment: int) -> None:
    """A layer of all regular files under `tree`, placed under `prefix`, owned by root and readable by everyone."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for source in sorted(tree.rglob("*")):
            if source.is_file():
                mode = 0o755 if source.stat().st_mode & 0o111 else 0o644
                _add(tar, f"{prefix}/{source.relative_to(tree)}", source.read_bytes(), moment, mode=mode)


def write_image(path: Path, layers: Sequence[Path], reference: str, settings: Settings, *, moment: int) -> None:
    """The archive of one image over its layers' tars, the lowest first."""
    digests = []
    for layer in layers:
        with layer.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    config = json.dumps(configuration(digests, settings, moment=moment), sort_keys=True).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": [f"{digest}/layer.tar" for digest in digests]}]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "manifest.json", json.dumps(manifest, sort_keys=True).encode(), moment)
        _add(tar, name, config, moment)
        for layer, digest in zip(layers, digests, strict=True):
            with layer.open("rb") as stream:
                tar.addfile(_entry(f"{digest}/layer.tar", layer.stat().st_size, moment), stream)


def configuration(layers: Sequence[str], settings: Settings, *, moment: int) -> dict[str, object]:
    """The OCI image configuration over layers with these sha256."""
    return {
        "architecture": ARCHITECTURES[os.uname().machine],
        "os": "linux",
        "created": datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z"),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}" for layer in layers]},
        "config": {
            "Cmd": list(settings.command),
            "Env": list(settings.environment),
            "User": settings.user,
            "StopSignal": settings.stop_signal,
            "Labels": dict(settings.labels),
        },
    }


def _entry(name: str, size: int, moment: int, mode: int = 0o644) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, moment, mode
    return entry


def _add(tar: tarfile.TarFile, name: str, content: bytes, moment: int, mode: int = 0o644) -> None:
    tar.addfile(_entry(name, len(content), moment, mode), io.BytesIO(content))
