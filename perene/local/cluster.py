"""The life of a local cluster: up, stop, destroy, and what it is doing. Every step may be repeated after any interruption."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import perene
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import binaries, cleanup, configuration, control_groups, images, network, objects, pki, quantity, ranges, requirements
from perene.local.api import Api, ApiError
from perene.local.layout import NODE_NAME, Layout, write_private
from perene.local.processes import MARK, Process, children, load
from perene.local.progress import Progress, silent
from perene.local.volumes import STORAGE_CLASS
from perene.logs import rotate

KUBECONFIGS = ("admin", "kubelet", "controller-manager", "scheduler", "proxy", "dns", "volumes")
START_LIMIT = 120  # seconds from the node's start to Ready
GROW_LIMIT = 60  # seconds to grow a volume
STOP_LIMIT = 90  # seconds for an orderly stop


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster: how to reach it and what it offers."""

    name: str
    kubeconfig: Path
    context: str
    node_address: str
    storage_class: str
    programs: Path  # holds kubectl


def up(root: Path, progress: Progress = silent) -> Cluster:
    """Bring the checkout's cluster up: Ready, with its storage class. Does nothing that is done already."""
    layout = Layout(root)
    requirements.check(layout)
    layout.make()
    with _alone(layout):
        requirements.install_packages(layout.logs / "packages.log", progress)
        for name in binaries.CLUSTER:
            binaries.ensure(name, layout.logs / f"build-{name}.log", progress)
        if not _running(layout):
            _start(layout, progress)
        _wait_for_node(layout, progress)
        objects.apply(Api(layout.kubeconfig))
        images.load(layout, "pause", progress)
        _wait_for_account(layout, progress)
    return describe(layout)


def describe(layout: Layout) -> Cluster:
    """The cluster of a layout whose node was configured. PereneError when it never was."""
    return Cluster(
        name=layout.name,
        kubeconfig=layout.kubeconfig,
        context=layout.name,
        node_address=str(_recorded(layout).node),
        storage_class=STORAGE_CLASS,
        programs=binaries.directory(binaries.KUBERNETES),
    )


def stop(root: Path, progress: Progress = silent) -> bool:
    """Stop the node in order and keep its data. False when nothing ran."""
    layout = Layout(root)
    layout.make()
    with _alone(layout):
        return _stop(layout, progress)


def destroy(root: Path, progress: Progress = silent) -> None:
    """Stop, and remove everything of this cluster with its data. The caller has asked for the name."""
    layout = Layout(root)
    layout.make()
    with _alone(layout):
        _stop(layout, progress)
        progress("destroy", "removing the data")
        cleanup.erase(layout)
    left = cleanup.remains(layout)
    if left:
        raise PereneError(f"still there: {', '.join(left)}", fix="run the same command again")


def grow(root: Path, namespace: str, claim: str, size: str, progress: Progress = silent) -> str:
    """Ask for a larger volume (a Kubernetes quantity) and wait until file system, volume and claim have it; the new capacity."""
    layout = Layout(root)
    describe(layout)
    api, path = Api(layout.kubeconfig), f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"
    wanted = quantity.to_bytes(size)
    api.merge(path, {"spec": {"resources": {"requests": {"storage": size}}}})
    progress("volume", f"{namespace}/{claim} to have {size}")
    end = time.monotonic() + GROW_LIMIT
    while True:
        capacity = str(api.get(path).get("status", {}).get("capacity", {}).get("storage", "0"))
        if quantity.to_bytes(capacity) >= wanted:
            return capacity
        if time.monotonic() > end:
            where = str(layout.logs / "node.log")
            raise PereneError(f"{namespace}/{claim} still has {capacity}", where=where, fix=f"kubectl describe pvc {claim} -n {namespace}")
        time.sleep(0.2)


def running(root: Path) -> bool:
    """Whether the checkout's node process runs."""
    return _running(Layout(root))


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """One command at a time per checkout; the lock falls with its holder, however that ends."""
    with (layout.private / "local.lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise PereneError(
                f"another `perene local` command works on this checkout (process {stream.read().strip() or 'unknown'})",
                fix="wait for it to end",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _running(layout: Layout) -> bool:
    process = load(layout.process_file)
    return process is not None and process.alive()


def _recorded(layout: Layout) -> ranges.Ranges:
    try:
        return ranges.Ranges(IPv4Network(json.loads(layout.node_file.read_text())["block"]))
    except FileNotFoundError:
        raise PereneError("this checkout has no local cluster yet", fix="perene local up", exit_code=ExitCode.CANNOT_TELL) from None


def _ranges(layout: Layout) -> ranges.Ranges:
    """The recorded ranges while nothing else has taken them; new ones for a cluster without data."""
    taken = ranges.host_routes(without_link=layout.link) | ranges.well_known() | _of_other_checkouts(layout)
    if layout.node_file.exists():
        own = _recorded(layout)
        clash = sorted(str(network) for network in taken if network.overlaps(own.block))
        if clash:
            raise PereneError(
                f"the cluster's range {own.block} now overlaps {', '.join(clash)}",
                why="starting it would cut this machine off from there; service addresses in the cluster's data cannot be moved",
                fix="disconnect that network (a VPN?), or `perene local destroy` and bring the tier back from its backup",
                exit_code=ExitCode.CANNOT_TELL,
            )
        return own
    chosen = ranges.choose(layout.instance, taken)
    layout.registry_entry.parent.mkdir(parents=True, exist_ok=True)
    write_private(layout.registry_entry, json.dumps({"root": str(layout.root.resolve()), "block": str(chosen.block)}))
    return chosen


def _of_other_checkouts(layout: Layout) -> set[IPv4Network]:
    entries = [path for path in layout.registry_entry.parent.glob("*.json") if path != layout.registry_entry]
    read = [json.loads(path.read_text()) for path in entries]
    return {IPv4Network(entry["block"]) for entry in read if Path(entry["root"], ".perene", "local").exists()}


def _start(layout: Layout, progress: Progress) -> None:
    progress("node", "clearing what an earlier run left")
    cleanup.clean(layout)
    chosen = _ranges(layout)
    pki.ensure(layout.keys, chosen)
    for user in KUBECONFIGS:
        write_private(layout.keys / f"{user}.kubeconfig", pki.kubeconfig(layout.keys, user, chosen, context=layout.name))
    write_private(layout.kubeconfig, pki.kubeconfig(layout.keys, "admin", chosen, context=layout.name))
    for name, text in configuration.files(chosen, control_group=layout.name).items():
        path = layout.state / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, text)
    for log in layout.logs.glob("*.log"):
        if not log.name.startswith(("build-", "packages")):
            rotate(log, 0)
    control_groups.make(layout.name)
    programs = {name: str(binaries.directory(name)) for name in binaries.CLUSTER}
    write_private(layout.node_file, json.dumps({"block": str(chosen.block), **programs}))
    process = _launch(layout)
    write_private(layout.process_file, process.dump())
    network.plug(layout, chosen, process.pid)


def _launch(layout: Layout) -> Process:
    """The node's first process, in namespaces of its own: when it ends, the kernel ends and unmounts everything inside."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(Path(perene.__file__).parents[1]),
        MARK: layout.instance,
        "ETCD_UNSUPPORTED_ARCH": "arm64" if os.uname().machine == "aarch64" else "",
    }
    namespaces = ["unshare", "--mount", "--propagation", "slave", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    node = ["catatonit", "--", sys.executable, "-m", "perene.local.node", str(layout.state)]
    with (layout.logs / "node.log").open("ab") as log:
        outer = subprocess.Popen(
            [*namespaces, *node], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/", start_new_session=True
        )
    end = time.monotonic() + 10
    while not children(outer.pid):
        if outer.poll() is not None or time.monotonic() > end:
            raise PereneError("the node's namespaces could not be made", where=str(layout.logs / "node.log"))
        time.sleep(0.01)
    return Process.of(children(outer.pid)[0])


def _wait_for_node(layout: Layout, progress: Progress) -> None:
    api = Api(layout.kubeconfig)

    def ready() -> bool:
        try:
            conditions = api.get(f"/api/v1/nodes/{NODE_NAME}")["status"]["conditions"]
        except (OSError, ApiError, KeyError):
            return False
        # After a restart the API server still tells the state before it: only a heartbeat of this run counts.
        started = datetime.fromtimestamp(layout.process_file.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return any(one["type"] == "Ready" and one["status"] == "True" and one["lastHeartbeatTime"] >= started for one in conditions)

    _until(layout, lambda: _status(layout).get("stage") == "running", progress, lambda: str(_status(layout).get("stage", "namespaces")))
    _until(layout, api.ready, progress, lambda: "the API server's /readyz")
    _until(layout, ready, progress, lambda: "the node to become Ready")


def _wait_for_account(layout: Layout, progress: Progress) -> None:
    api = Api(layout.kubeconfig)

    def there() -> bool:
        try:
            return bool(api.get("/api/v1/namespaces/default/serviceaccounts/default"))
        except (OSError, ApiError):
            return False

    _until(layout, there, progress, lambda: "the default service account")


def _until(layout: Layout, done: Callable[[], bool], progress: Progress, waiting: Callable[[], str]) -> None:
    """Poll until done; a component that failed or a node that ended is told with its log, at once."""
    end, told = time.monotonic() + START_LIMIT, ""
    while not done():
        text = waiting()
        if text != told:
            progress("node", text)
            told = text
        failed = str(_status(layout).get("failed", ""))
        if failed or not _running(layout):
            log = layout.logs / f"{failed or 'node'}.log"
            raise PereneError(
                f"{failed or 'the node'} did not come up: {_last_line(log)}",
                where=str(log),
                fix="perene local up resumes; perene local logs shows all logs",
            )
        if time.monotonic() > end:
            raise PereneError(f"waited {START_LIMIT} s for {text}", where=str(layout.logs), fix="perene local logs kubelet")
        time.sleep(0.1)


def _status(layout: Layout) -> dict[str, object]:
    try:
        status: dict[str, object] = json.loads(layout.status_file.read_text())
    except FileNotFoundError:
        return {}
    return status


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "nothing in its log"


def _stop(layout: Layout, progress: Progress) -> bool:
    process = load(layout.process_file)
    alive = process is not None and process.alive()
    if process is not None and alive:
        progress("node", "stopping the containers, then the components")
        process.signal(signal.SIGTERM)
        if not process.wait(STOP_LIMIT):
            progress("node", f"not stopped after {STOP_LIMIT} s: killing it")
    cleanup.clean(layout)
    return alive
