"""Images without a registry: built from the distribution's packages, cached by their definition, loaded into the node."""

import fcntl
import hashlib
import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from perene.errors import PereneError
from perene.local import archive
from perene.local.layout import Layout, cache_directory
from perene.local.processes import load as load_process
from perene.local.progress import Progress, silent

DEFINITIONS = Path(__file__).parents[2] / "images"
MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
EPOCH = 1767225600  # 2026-01-01: one date for every file of an image, so that the same packages give the same bytes
FAMILY_LABEL = "dev.perene.image-family"
# Documentation, translations and package lists serve no process in a container.
LEAVE_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One image as written in `images/NAME/image.toml`."""

    name: str
    reference: str
    family: str
    suite: str
    packages: tuple[str, ...]
    user: str
    uid: int
    home: str
    settings: archive.Settings
    files: Path

    @property
    def digest(self) -> str:
        """What decides the image: its definition and every file beside it (the packages' versions are the distribution's)."""
        content = hashlib.sha256()
        for path in sorted(self.files.rglob("*")):
            if path.is_file():
                content.update(f"{path.relative_to(self.files)}\0{path.stat().st_mode & 0o111}\0".encode())
                content.update(hashlib.sha256(path.read_bytes()).digest())
        return content.hexdigest()[:16]

    @property
    def cached(self) -> Path:
        """The finished archive, outside every checkout."""
        return cache_directory() / "images" / f"{self.name}-{self.digest}.tar"


def definition(name: str, directory: Path = DEFINITIONS) -> Definition:
    """The image of that name. PereneError when there is none."""
    path = directory / name / "image.toml"
    if not path.exists():
        known = sorted(found.parent.name for found in directory.glob("*/image.toml"))
        raise PereneError(f"no image {name!r}", where=str(directory), fix=f"one of: {', '.join(known)}")
    document = tomllib.loads(path.read_text())
    user = document.get("user", {"name": "root", "uid": 0, "home": "/root"})
    return Definition(
        name=name,
        reference=document["reference"],
        family=document["family"],
        suite=document.get("suite", ""),
        packages=tuple(document.get("packages", ())),
        user=user["name"],
        uid=user["uid"],
        home=user["home"],
        settings=archive.Settings(
            command=tuple(document["command"]),
            environment=tuple(f"{key}={value}" for key, value in sorted(document.get("environment", {}).items())),
            user=f"{user['uid']}:{user['uid']}",
            stop_signal=document.get("stop-signal", "SIGTERM"),
            labels=((FAMILY_LABEL, document["family"]),),
        ),
        files=path.parent,
    )


def ensure(name: str, progress: Progress = silent) -> Path:
    """The image's archive, built now unless cached. Needs root unless cached."""
    image = definition(name)
    image.cached.parent.mkdir(parents=True, exist_ok=True)
    with image.cached.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.cached.exists():
            _build(image, progress)
    return image.cached


def load(layout: Layout, name: str, progress: Progress = silent) -> str:
    """Make the image known to the running node under its reference, which is returned. Nothing happens when it is."""
    image = definition(name)
    record = layout.state / "images" / name
    if record.exists() and record.read_text() == image.digest:
        return image.reference
    path = ensure(name, progress)
    node = load_process(layout.process_file)
    if node is None or not node.alive():
        raise PereneError("the local cluster does not run", fix="perene local up")
    progress("images", f"loading {image.reference}")
    inside = ["nsenter", "--target", str(node.pid), "--mount", "ctr", "-n", "k8s.io", "images", "import", "-"]
    with path.open("rb") as stream:
        result = subprocess.run(inside, stdin=stream, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise PereneError(f"{image.reference} was not loaded: {result.stderr.strip()}", where=str(path), fix="the same command tries again")
    record.parent.mkdir(mode=0o700, exist_ok=True)
    record.write_text(image.digest)
    return image.reference


def _build(image: Definition, progress: Progress) -> None:
    log = image.cached.with_suffix(".log")
    progress("images", f"building {image.reference} from packages (about a minute, once; log {log})")
    part = image.cached.with_suffix(".part")
    layer = image.cached.with_suffix(".layer")
    if image.suite:
        with log.open("w") as stream:
            environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "DEBIAN_FRONTEND": "noninteractive"}
            result = subprocess.run(recipe(image, layer), stdout=stream, stderr=stream, env=environment, check=False)
        if result.returncode != 0:
            last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-5:])
            raise PereneError(f"{image.reference} was not built: {last}", where=str(log), fix="the same command tries again")
    else:
        archive.write_layer(layer, {"pause": Path("/usr/bin/catatonit")}, moment=EPOCH)
    archive.write_image(part, layer, image.reference, image.settings, moment=EPOCH)
    layer.unlink()
    part.replace(image.cached)


def recipe(image: Definition, layer: Path) -> list[str]:
    """The mmdebstrap call that writes the image's file system as one tar."""
    mirror = os.environ.get("PERENE_DEBIAN_MIRROR", MIRROR)
    security = os.environ.get("PERENE_DEBIAN_SECURITY_MIRROR", SECURITY)
    account = f"{image.user}:x:{image.uid}:{image.uid}::{image.home}:/bin/sh"
    # The account exists before the packages come, so that they take it instead of making one with a low, varying id.
    hooks = [
        f"echo {account} >> $1/etc/passwd",
        f"echo {image.user}:x:{image.uid}: >> $1/etc/group",
        f"echo '{image.user}:!:1::::::' >> $1/etc/shadow",
        "mkdir -p $1/etc/postgresql-common && echo create_main_cluster = false > $1/etc/postgresql-common/createcluster.conf",
    ]
    root = image.files / "root"
    copies = [f'--customize-hook=copy-in "{path}" /' for path in sorted(root.iterdir())] if root.exists() else []
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        f"--include={','.join(image.packages)}",
        "--aptopt=APT::Install-Recommends false",
        "--dpkgopt=force-confold",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEAVE_OUT),
        *(f"--essential-hook={hook}" for hook in hooks),
        *copies,
        "--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/* $1/var/log/* $1/etc/ssl/private/* $1/etc/machine-id",
        "--format=tar",
        image.suite,
        str(layer),
        f"deb {mirror} {image.suite} main",
        f"deb {mirror} {image.suite}-updates main",
        f"deb {security} {image.suite}-security main",
    ]
