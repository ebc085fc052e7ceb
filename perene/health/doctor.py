"""One archive of everything that helps to find a fault: versions, configuration, objects, events and logs, with secrets masked."""

import base64
import io
import json
import platform
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from perene.errors import PereneError
from perene.health import network
from perene.health.kube import Api, items
from perene.health.mask import Mask
from perene.private import private_directory

_PACKAGES = ("perene", "pulumi", "pulumi-gcp", "pulumi-aws", "pulumi-kubernetes", "pydantic", "psycopg", "cryptography")
_TOOLS = (("kubectl", "version", "--client"), ("pulumi", "version"), ("restic", "version"), ("psql", "--version"), ("go", "version"))
_KINDS = (
    ("/api/v1", "pods"),
    ("/api/v1", "persistentvolumeclaims"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "services"),
    ("/api/v1", "events"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/batch/v1", "cronjobs"),
    ("/apis/batch/v1", "jobs"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
)
_LOG_LINES = 500


def collect(api: Api | None, namespace: str, root: Path, more: dict[str, Callable[[], str]] | None = None) -> Iterator[tuple[str, str]]:
    """(file name, masked text) of every part; a part that cannot be had is a file that says why.

    more: further parts, made by others (the health verdict).
    """
    mask = Mask(_known(api, namespace) if api else ())
    parts: dict[str, Callable[[], str]] = {"versions.txt": versions}
    parts |= {f"configuration/{path.name}": path.read_text for path in sorted(root.glob("Pulumi*.yaml"))}
    if api:
        parts |= _cluster(api, namespace)
    parts |= more or {}
    for name, part in parts.items():
        try:
            yield name, mask(part())
        except (PereneError, OSError) as missing:
            yield name + ".missing", mask(f"could not be had: {missing}\n")
    if api:
        for name, text in _logs(api, namespace):
            yield name, mask(text)


def versions() -> str:
    """Versions of the system, of Python's packages and of the tools that are used."""
    lines = [f"system: {platform.platform()}", f"python: {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package}: {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package}: not installed")
    for words in _TOOLS:
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
            lines.append(f"{words[0]}: {(done.stdout or done.stderr).strip().splitlines()[0]}")
        except (OSError, subprocess.TimeoutExpired, IndexError):
            lines.append(f"{words[0]}: not found")
    return "\n".join(lines) + "\n"


def _known(api: Api, namespace: str) -> Iterator[bytes]:
    """Every value of every Secret, to take it out of everything; none of them is written."""
    for secret in items(api, f"/api/v1/namespaces/{namespace}/secrets"):
        for value in (secret.get("data") or {}).values():
            yield base64.b64decode(value)


def _cluster(api: Api, namespace: str) -> dict[str, Callable[[], str]]:
    def listed(path: str) -> Callable[[], str]:
        return lambda: json.dumps(json.loads(api.text(path)), indent=1)

    parts = {f"cluster/{kind}.json": listed(f"{group}/namespaces/{namespace}/{kind}") for group, kind in _KINDS}
    wide = ("nodes", "persistentvolumes")
    parts |= {f"cluster/{kind}.json": listed(f"/api/v1/{kind}") for kind in wide}
    return parts | {"cluster/version.json": listed("/version"), "cluster/network-policies.txt": lambda: network.enforcement(api)}


def _logs(api: Api, namespace: str) -> Iterator[tuple[str, str]]:
    try:
        pods = items(api, f"/api/v1/namespaces/{namespace}/pods")
    except PereneError as missing:
        yield "logs.missing", f"could not be had: {missing}\n"
        return
    for pod in pods:
        name = pod["metadata"]["name"]
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            for before in (False, True):
                query = f"container={container['name']}&tailLines={_LOG_LINES}&previous={str(before).lower()}"
                file = f"logs/{name}-{container['name']}{'-previous' if before else ''}.log"
                try:
                    yield file, api.text(f"/api/v1/namespaces/{namespace}/pods/{name}/log?{query}")
                except PereneError as missing:
                    if not before:
                        yield file + ".missing", f"could not be had: {missing}\n"


def archive(parts: Iterator[tuple[str, str]], target: Path) -> list[str]:
    """Write the parts as one compressed archive that only its owner can read; the names in it."""
    if not target.parent.exists():
        private_directory(target.parent)
    names = []
    with target.open("xb") as file:
        target.chmod(0o600)
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in parts:
                content = text.encode()
                entry = tarfile.TarInfo(f"perene-doctor/{name}")
                entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
                tar.addfile(entry, io.BytesIO(content))
                names.append(name)
    return names
