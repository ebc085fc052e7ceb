"""Kubernetes, CoreDNS, Pulumi's CLI and its Kubernetes provider built from their Go modules: verified by go.sum, cached by content."""

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perene.errors import PereneError
from perene.local.layout import cache_directory
from perene.local.progress import Progress

MODULES = Path(__file__).parent / "build"
NEEDED_GO = (1, 24)
KUBERNETES, COREDNS, PULUMI, PROVIDER = "kubernetes", "coredns", "pulumi", "pulumi-kubernetes"
PROGRAMS = {
    KUBERNETES: ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"),
    COREDNS: ("coredns",),
    PULUMI: ("pulumi", "pulumi-language-python-exec"),
    PROVIDER: ("pulumi-resource-kubernetes",),
}
# What a local cluster runs.
CLUSTER = (KUBERNETES, COREDNS)
# The module whose version the programs report, and the linker's words for it.
REPORTED = {
    KUBERNETES: (
        "k8s.io/kubernetes",
        "-X {place}.gitVersion={version} -X {place}.gitMajor={major} -X {place}.gitMinor={minor}",
        "k8s.io/component-base/version",
    ),
    PULUMI: ("github.com/pulumi/pulumi/pkg/v3", "-X {place}.Version={version}", "github.com/pulumi/pulumi/sdk/v3/go/common/version"),
    PROVIDER: ("github.com/pulumi/pulumi-kubernetes/sdk/v4", "-X {place}.Version={version}", "{provider}/pkg/version"),
}
PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
RUNNER_MODULE = "github.com/pulumi/pulumi/sdk/v3"


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
    """Linker flags: stripped, and the version that the programs report."""
    name, flags, place = REPORTED.get(module.name, ("", "", ""))
    match = re.search(rf"{re.escape(name)} (v(\d+)\.(\d+)\S*)", (module / "go.mod").read_text()) if name else None
    if match is None:
        return "-s -w"
    where = place.format(provider=PROVIDER_MODULE)
    version = match[1].removeprefix("v") if module.name == PROVIDER else match[1]
    return "-s -w " + flags.format(place=where, version=version, major=match[2], minor=match[3])


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
            arguments,
            cwd=_with_embedded_files(module, target.with_name("work")) if name == PROVIDER else module,
            env=environment(module),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
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
    if name == PULUMI:
        runner = _downloaded(module, RUNNER_MODULE) / "python" / "cmd" / "pulumi-language-python-exec"
        shutil.copy(runner, part)
        (part / runner.name).chmod(0o755)
    part.replace(target)
    shutil.rmtree(target.with_name("work"), ignore_errors=True)


def _with_embedded_files(module: Path, work: Path) -> Path:
    """The provider's module as its own `go generate` leaves it: a copy with the two files that it embeds, which no Go module ships."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(module, work)
    copy = work / "provider"
    shutil.copytree(_downloaded(module, PROVIDER_MODULE), copy, copy_function=shutil.copyfile)
    # Go's cache is read-only, and a copy of its directories is too.
    for directory in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        directory.chmod(0o755)
    place = copy / "cmd" / "pulumi-resource-kubernetes"
    match = re.search(r"github\.com/pulumi/pulumi-kubernetes/sdk/v4 v(\S+)", (module / "go.mod").read_text())
    schema = json.loads((place / "schema.json").read_text()) | {"version": match[1] if match else ""}
    (place / "schema-embed.json").write_text(json.dumps(schema))
    shutil.copyfile(place / "terraform-mapping.json", place / "terraform-mapping-embed.json")
    return work


def _downloaded(module: Path, name: str) -> Path:
    """A required module's directory in Go's cache, its content compared with go.sum. PereneError when it cannot be had or differs."""
    version = re.search(rf"^\s*(?:require )?{re.escape(name)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    wanted = f"{name}@{version[1]}" if version else name
    # In no module: a `replace` of its own would stand in for it.
    with tempfile.TemporaryDirectory() as elsewhere:
        told = subprocess.run(
            [go(), "mod", "download", "-json", wanted],
            cwd=elsewhere,
            env={**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"},
            capture_output=True,
            text=True,
            check=False,
        )
    found = json.loads(told.stdout or "{}")
    if told.returncode or found.get("Error"):
        raise PereneError(f"{wanted} could not be had: {found.get('Error') or told.stderr.strip()}", fix="run the same command again")
    if f"{wanted.replace('@', ' ')} {found['Sum']}\n" not in (module / "go.sum").read_text():
        raise PereneError(
            f"{wanted} is not what go.sum says", where=str(module / "go.sum"), why=f"its content is {found['Sum']}; nothing was built"
        )
    return Path(found["Dir"])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
