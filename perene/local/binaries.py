"""Kubernetes and CoreDNS built from their Go modules: verified by go.sum, cached outside the checkout by content."""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perene.errors import PereneError
from perene.local.layout import cache_directory
from perene.local.progress import Progress

MODULES = Path(__file__).parent / "build"
NEEDED_GO = (1, 24)
KUBERNETES, COREDNS = "kubernetes", "coredns"
PROGRAMS = {
    KUBERNETES: ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"),
    COREDNS: ("coredns",),
}


def go() -> str:
    """The Go to build with: the one on PATH when it is new enough, else PyPI's in the environment of this Python, else `go`."""
    with_python = Path(sys.executable).with_name("go")
    return str(with_python) if (_version("go") or (0,)) < NEEDED_GO and with_python.exists() else "go"


def go_version() -> tuple[int, ...] | None:
    """That Go's version as numbers, None without Go."""
    return _version(go())


@functools.cache
def _version(program: str) -> tuple[int, ...] | None:
    if shutil.which(program) is None:
        return None
    text = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/").stdout
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def wanted_go(module: Path) -> tuple[int, ...]:
    """The Go version that a go.mod asks for."""
    match = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", (module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise PereneError("go.mod names no Go version", where=str(module / "go.mod"))
    return tuple(int(part or 0) for part in match.groups())


def digest(module: Path, version: tuple[int, ...]) -> str:
    """What decides the built programs: both module files and the compiler's version."""
    content = hashlib.sha256()
    for part in ((module / "go.mod").read_bytes(), (module / "go.sum").read_bytes(), repr(version).encode()):
        content.update(hashlib.sha256(part).digest())
    return content.hexdigest()[:16]


def directory(name: str) -> Path:
    """Where the programs of one module are, built or not. The compiler's version is that of go.mod when the installed Go is older."""
    module = MODULES / name
    version = max(go_version() or (0, 0, 0), wanted_go(module))
    return cache_directory() / digest(module, version) / "bin"


def built(name: str) -> bool:
    """Whether every program of a module is in the cache (the directory appears by one rename)."""
    return all((directory(name) / program).exists() for program in PROGRAMS[name])


def ensure(name: str, log: Path, progress: Progress) -> Path:
    """The directory with the programs of a module, built now unless cached: minutes, once per machine."""
    target = directory(name)
    with _locked(target.parent.with_suffix(".lock")):
        if not built(name):
            _build(name, target, log, progress)
    return target


def version_flags(module: Path) -> str:
    """Linker flags: stripped, and for Kubernetes the version that its servers report."""
    match = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)(\S*)", (module / "go.mod").read_text())
    if match is None:
        return "-s -w"
    place = "k8s.io/component-base/version"
    version = f"v{match[1]}.{match[2]}{match[3]}"
    return f"-s -w -X {place}.gitVersion={version} -X {place}.gitMajor={match[1]} -X {place}.gitMinor={match[2]}"


def environment(module: Path) -> dict[str, str]:
    """Static programs, module files unchanged; an older Go fetches the verified toolchain that go.mod asks for."""
    extra = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}
    if (go_version() or (0,)) < wanted_go(module):
        extra["GOTOOLCHAIN"] = "auto"
    return {**os.environ, **extra}


def _build(name: str, target: Path, log: Path, progress: Progress) -> None:
    module, part = MODULES / name, target.with_name("bin.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    arguments = [go(), "build", "-v", "-ldflags", version_flags(module), "-o", f"{part}/", "tool"]
    packages = 0
    progress("programs", f"building {name} from its Go module (several minutes, once; log {log})")
    with (
        log.open("w") as stream,
        subprocess.Popen(
            arguments, cwd=module, env=environment(module), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            stream.write(line)
            packages += not line.startswith("go: ")
            if packages % 200 == 0:
                progress("programs", f"building {name}: {packages} packages compiled")
    if process.returncode != 0:
        last = "\n".join(log.read_text().splitlines()[-5:])
        raise PereneError(f"{name} was not built: {last}", where=str(log), fix="the same command resumes: what was compiled is kept by Go")
    part.replace(target)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
