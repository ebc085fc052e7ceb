"""Images without a registry: defined in images/, put together from cached layers, loaded into the node."""

import fcntl
import json
import os
import subprocess
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import archive, layers
from perene.local.layout import Layout, cache_directory
from perene.local.processes import load as load_process
from perene.local.progress import Progress, silent

ROOT = Path(__file__).parents[2]
DEFINITIONS = ROOT / "images"
FAMILY_LABEL = "dev.perene.image-family"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One image as written in `images/NAME/image.toml`.

    own_program: the variable that names a program of this computer, its place, and whether the image does without it.
    """

    name: str
    reference: str
    family: str
    settings: archive.Settings
    packages: layers.Packages | None
    python: layers.Python | None
    own_program: tuple[str, str, bool] | None = None


def definition(name: str, directory: Path = DEFINITIONS) -> Definition:
    """The image of that name. PereneError when there is none."""
    path = directory / name / "image.toml"
    if not path.exists():
        known = sorted(found.parent.name for found in directory.glob("*/image.toml"))
        raise PereneError(f"no image {name!r}", where=str(directory), fix=f"one of: {', '.join(known)}")
    document = tomllib.loads(path.read_text())
    user = document.get("user", {"name": "root", "uid": 0, "home": "/root"})
    python, own = document.get("python"), document.get("own-program")
    return Definition(
        name=name,
        reference=document["reference"],
        family=document["family"],
        settings=archive.Settings(
            command=tuple(document["command"]),
            environment=tuple(f"{key}={value}" for key, value in sorted(document.get("environment", {}).items())),
            user=f"{user['uid']}:{user['uid']}",
            stop_signal=document.get("stop-signal", "SIGTERM"),
            labels=((FAMILY_LABEL, document["family"]),),
        ),
        packages=layers.Packages(
            suite=document["suite"], packages=tuple(document["packages"]), user=user["name"], uid=user["uid"], home=user["home"]
        )
        if "suite" in document
        else None,
        python=layers.Python(
            version=python["version"],
            requirements=ROOT / python["requirements"],
            sources=tuple(ROOT / source for source in python["sources"]),
            programs=tuple((name, ROOT / source) for name, source in python.get("programs", {}).items()),
        )
        if python
        else None,
        own_program=(own["variable"], own["path"], own.get("optional", False)) if own else None,
    )


def ensure(name: str, progress: Progress = silent) -> Path:
    """The image's archive, put together now unless cached; its name tells its content. Needs root where packages are not cached."""
    image = definition(name)
    directory = cache_directory() / "images"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        parts = [layers.packages(image.packages, progress) if image.packages else layers.helper()]
        if image.python:
            parts += [layers.libraries(image.python, progress), layers.sources(image.python)]
        if image.own_program:
            variable, path, optional = image.own_program
            if not optional or os.environ.get(variable):
                parts.append(layers.program(_own_program(name, variable), path))
        key = layers.digest([image.reference, json.dumps(asdict(image.settings)), *(part.name for part in parts)])
        target = directory / f"{name}-{key}.tar"
        if not target.exists():
            for outdated in directory.glob(f"{name}-*.tar"):
                outdated.unlink()  # its layers stay cached: putting it together again takes a second
            archive.write_image(target.with_suffix(".part"), parts, image.reference, image.settings, moment=layers.EPOCH)
            target.with_suffix(".part").replace(target)
    return target


def _own_program(name: str, variable: str) -> Path:
    """The program that the variable names."""
    found = Path(os.environ.get(variable, ""))
    if not os.environ.get(variable) or not os.access(found, os.X_OK) or not found.is_file():
        raise PereneError(
            f"the image {name} needs a program that this computer does not name",
            where=f"{variable}={os.environ.get(variable, '')}",
            why=f"no package archive has {name}; see docs/local.md",
            fix=f"set {variable} to the path of the program, or take the store out of the stack file",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return found


def load(layout: Layout, name: str, progress: Progress = silent) -> str:
    """Make the image known to the running node under its reference, which is returned. Nothing happens when it is."""
    reference, path = definition(name).reference, ensure(name, progress)
    record = layout.state / "images" / name
    if record.exists() and record.read_text() == path.stem:
        return reference
    node = load_process(layout.process_file)
    if node is None or not node.alive():
        raise PereneError("the local cluster does not run", fix="perene local up")
    progress("images", f"loading {reference}")
    inside = ["nsenter", "--target", str(node.pid), "--mount", "ctr", "-n", "k8s.io", "images", "import", "-"]
    with path.open("rb") as stream:
        result = subprocess.run(inside, stdin=stream, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise PereneError(f"{reference} was not loaded: {result.stderr.strip()}", where=str(path), fix="the same command tries again")
    record.parent.mkdir(mode=0o700, exist_ok=True)
    record.write_text(path.stem)
    return reference
