"""The layers of an image, each cached by what decides it: packages change rarely, libraries sometimes, our own sources always."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perene.errors import PereneError
from perene.local import archive
from perene.local.layout import cache_directory
from perene.local.progress import Progress
from perene.local.registries import debian_mirrors

EPOCH = 1767225600  # 2026-01-01: one date for every file of an image, so that the same packages give the same bytes
# Documentation, translations and package lists serve no process in a container.
LEAVE_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
LIBRARIES = "opt/perene/lib"
WHEELS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True, kw_only=True)
class Packages:
    """A Debian file system with one account of our own."""

    suite: str
    packages: tuple[str, ...]
    user: str
    uid: int
    home: str


@dataclass(frozen=True, kw_only=True)
class Python:
    """The locked libraries of a requirements file for the image's Python, our own sources beside them, and programs by their path."""

    version: str
    requirements: Path
    sources: tuple[Path, ...]
    programs: tuple[tuple[str, Path], ...] = ()


def digest(parts: Iterable[str | bytes]) -> str:
    """A key over parts, each counted by itself."""
    content = hashlib.sha256()
    for part in parts:
        content.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return content.hexdigest()[:16]


def cached(kind: str, key: str) -> Path:
    """Where a layer with that key is kept, outside every checkout."""
    return cache_directory() / "layers" / f"{kind}-{key}.tar"


def helper() -> Path:
    """The host's static catatonit alone: it holds a pod's namespaces."""
    source = Path("/usr/bin/catatonit")
    target = cached("helper", digest([source.read_bytes()]))
    if not target.exists():
        part = _part(target)
        archive.write_layer(part, {"pause": source}, moment=EPOCH)
        part.replace(target)
    return target


def packages(wanted: Packages, progress: Progress) -> Path:
    """The file system of the packages, built by mmdebstrap unless cached. The packages' versions are the distribution's of the day."""
    target = cached("packages", digest(recipe(wanted, Path("layer"))))
    if target.exists():
        return target
    part, log = _part(target), target.with_suffix(".log")
    progress("images", f"installing {len(wanted.packages)} packages of {wanted.suite} into an image (about a minute, once; log {log})")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "DEBIAN_FRONTEND": "noninteractive"}
    _run(recipe(wanted, part), log, environment)
    part.replace(target)
    return target


def libraries(wanted: Python, progress: Progress) -> Path:
    """The wheels of the requirements, unpacked for the image's Python, unless cached."""
    machine = os.uname().machine
    target = cached("libraries", digest([wanted.version, machine, wanted.requirements.read_bytes()]))
    if target.exists():
        return target
    part, log = _part(target), target.with_suffix(".log")
    progress("images", f"collecting the libraries of {wanted.requirements.name} (log {log})")
    platforms = [f"--platform={wheel}_{machine}" for wheel in WHEELS]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile", f"--target={folder}"]
        arguments += [
            f"--python-version={wanted.version}",
            "--implementation=cp",
            "--only-binary=:all:",
            *platforms,
            "-r",
            str(wanted.requirements),
        ]
        _run(arguments, log, dict(os.environ))
        archive.write_tree(part, Path(folder), LIBRARIES, moment=EPOCH)
    part.replace(target)
    return target


def sources(wanted: Python) -> Path:
    """Our own packages as they are in the checkout now."""
    files = {f"{LIBRARIES}/{path.relative_to(top.parent)}": path for top in wanted.sources for path in _source_files(top)}
    files |= dict(wanted.programs)
    target = cached("sources", digest(part for name, path in sorted(files.items()) for part in (name, path.read_bytes())))
    if not target.exists():
        part = _part(target)
        archive.write_layer(part, files, moment=EPOCH)
        part.replace(target)
    return target


def program(source: Path, place: str) -> Path:
    """One program of this computer."""
    target = cached("program", digest([place, source.read_bytes()]))
    if not target.exists():
        part = _part(target)
        archive.write_layer(part, {place: source}, moment=EPOCH)
        part.replace(target)
    return target


def recipe(wanted: Packages, layer: Path) -> list[str]:
    """The mmdebstrap call that writes the file system as one tar."""
    mirror, security = debian_mirrors()
    account = f"{wanted.user}:x:{wanted.uid}:{wanted.uid}::{wanted.home}:/bin/sh"
    # The account exists before the packages come, so that they take it instead of making one with a low, varying id.
    hooks = [
        f"echo {account} >> $1/etc/passwd",
        f"echo {wanted.user}:x:{wanted.uid}: >> $1/etc/group",
        f"echo '{wanted.user}:!:1::::::' >> $1/etc/shadow",
        "mkdir -p $1/etc/postgresql-common && echo create_main_cluster = false > $1/etc/postgresql-common/createcluster.conf",
    ]
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        f"--include={','.join(wanted.packages)}",
        "--aptopt=APT::Install-Recommends false",
        "--dpkgopt=force-confold",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEAVE_OUT),
        *(f"--essential-hook={hook}" for hook in hooks),
        "--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/* $1/var/log/* $1/etc/ssl/private/* $1/etc/machine-id",
        "--format=tar",
        wanted.suite,
        str(layer),
        f"deb {mirror} {wanted.suite} main",
        f"deb {mirror} {wanted.suite}-updates main",
        f"deb {security} {wanted.suite}-security main",
    ]


def _source_files(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def _part(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_suffix(".part")


def _run(arguments: list[str], log: Path, environment: dict[str, str]) -> None:
    with log.open("w") as stream:
        result = subprocess.run(arguments, stdout=stream, stderr=stream, env=environment, check=False)
    if result.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-5:])
        raise PereneError(f"{arguments[0]} failed: {last}", where=str(log), fix="the same command tries again")
