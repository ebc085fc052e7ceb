"""What a local cluster is doing, for people and machines."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local.api import Api, ApiError
from perene.local.cluster import describe, running
from perene.local.layout import NODE_NAME, Layout


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One claim's volume; sizes in bytes, `used` None while no pod mounts it."""

    claim: str
    capacity: str
    used: int | None
    size: int | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """The cluster at a moment."""

    name: str
    running: bool
    ready: bool
    kubeconfig: str
    node_address: str
    volumes: tuple[Volume, ...]


def status(layout: Layout) -> Status:
    """Ask the cluster. PereneError when the checkout never had one."""
    found = describe(layout)
    volumes: tuple[Volume, ...] = ()
    on, ready = running(layout.root), False
    if on:
        api = Api(layout.kubeconfig)
        ready = api.ready()
        volumes = tuple(_volumes(api)) if ready else ()
    return Status(
        name=found.name, running=on, ready=ready, kubeconfig=str(found.kubeconfig), node_address=found.node_address, volumes=volumes
    )


def lines(found: Status) -> Iterator[str]:
    """The status in words."""
    state = "stopped (its data is kept)" if not found.running else "ready" if found.ready else "running, not ready"
    yield f"{found.name}: {state}, node {found.node_address}"
    yield f"export KUBECONFIG={found.kubeconfig}"
    for volume in found.volumes:
        usage = "not mounted by a pod" if volume.used is None or not volume.size else f"{100 * volume.used / volume.size:.0f} % full"
        yield f"volume {volume.claim}: {volume.capacity}, {usage}"


def logs(layout: Layout, name: str, count: int) -> dict[str, str]:
    """The last lines of one component's log, or of every log, by file name."""
    files = {path.stem: path for path in sorted(layout.logs.glob("*.log"))}
    if name and name not in files:
        raise PereneError(f"no log of {name!r}", where=str(layout.logs), fix=f"one of: {', '.join(files)}", exit_code=ExitCode.USAGE)
    return {path.name: tail(path, count) for stem, path in files.items() if name in {"", stem}}


def tail(path: Path, count: int) -> str:
    """The last lines of a text file."""
    with path.open(errors="replace") as stream:
        return "".join(deque(stream, maxlen=count)).rstrip("\n")


def _volumes(api: Api) -> Iterator[Volume]:
    try:
        pods = api.get(f"/api/v1/nodes/{NODE_NAME}/proxy/stats/summary").get("pods", [])
    except (OSError, ApiError):
        pods = []
    mounted = [volume for pod in pods for volume in pod.get("volume", []) if "pvcRef" in volume]
    usage = {f"{volume['pvcRef']['namespace']}/{volume['pvcRef']['name']}": volume for volume in mounted}
    for claim in api.get("/api/v1/persistentvolumeclaims")["items"]:
        name = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        seen = usage.get(name, {})
        capacity = claim.get("status", {}).get("capacity", {}).get("storage", "pending")
        yield Volume(claim=name, capacity=capacity, used=seen.get("usedBytes"), size=seen.get("capacityBytes"))
