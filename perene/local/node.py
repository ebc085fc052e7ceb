"""The node itself: runs inside its own namespaces, starts the components in order, restarts what dies, stops in order.

Started by `perene.local.cluster` as `python -m perene.local.node STATE`; everything in its namespaces ends with it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from ipaddress import IPv4Network
from pathlib import Path

from perene.local import mounts
from perene.local.api import Api
from perene.local.layout import INSIDE, NODE_DEVICE, write_private
from perene.local.ranges import Ranges
from perene.local.services import Service, services
from perene.local.volumes import Volumes
from perene.logs import rotate_all

GRACE = 20  # seconds a container gets between its stop signal and SIGKILL
LIMIT = 90  # seconds a component may take to answer


class Node:
    """The running components."""

    def __init__(self, ranges: Ranges, api: Api) -> None:
        self.ranges, self.api = ranges, api
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.stopping = threading.Event()

    def tell(self, stage: str, *, failed: str = "") -> None:
        """What `perene local up` shows while it waits."""
        write_private(INSIDE / "status.json", json.dumps({"stage": stage, "failed": failed, "at": time.time()}))

    def network(self) -> None:
        """Wait for the host to plug in the cable, then address it. Without a default route pods reach the cluster and nothing else."""
        while not Path("/proc/self/net/dev").read_text().count(f"{NODE_DEVICE}:"):
            time.sleep(0.02)
        for arguments in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{self.ranges.node}/30", "dev", NODE_DEVICE),
            ("link", "set", NODE_DEVICE, "up"),
        ):
            subprocess.run(["ip", *arguments], check=True)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def start(self, service: Service) -> None:
        """Start one component with its log."""
        with (INSIDE / "logs" / f"{service.name}.log").open("ab") as log:
            self.running[service.name] = subprocess.Popen(
                service.arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def start_all(self) -> bool:
        """Start every component, waiting for those that others need. False when one did not come up."""
        for service in services(self.ranges):
            self.tell(f"starting {service.name}")
            self.start(service)
            end = time.monotonic() + LIMIT
            while service.answers is not None and not service.answers(self.api) and not self.stopping.is_set():
                if self.running[service.name].poll() is not None or time.monotonic() > end:
                    self.tell(f"starting {service.name}", failed=service.name)
                    return False
                time.sleep(0.05)
        self.tell("running")
        return True

    def supervise(self) -> None:
        """Restart what dies until told to stop."""
        table = {service.name: service for service in services(self.ranges)}
        while not self.stopping.wait(1):
            rotate_all(INSIDE / "logs")
            for name, process in list(self.running.items()):
                if process.poll() is not None:
                    log(f"{name} ended with {process.returncode}: starting it again")
                    self.start(table[name])

    def stop(self) -> None:
        """The kubelet first, so that it restarts nothing; then the containers by their own stop signal; etcd last."""
        self.end("kubelet")
        stop_containers()
        for name in ("coredns", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd", "containerd"):
            self.end(name)

    def end(self, name: str) -> None:
        """SIGTERM one component, SIGKILL after ten seconds."""
        process = self.running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            log(f"{name} did not stop in 10 s: killed")
            process.kill()
            process.wait()


def ctr(*arguments: str) -> str:
    """containerd's client in Kubernetes' name space; stdout, also of a failed call."""
    return subprocess.run(["ctr", "-n", "k8s.io", *arguments], capture_output=True, text=True, check=False, timeout=30).stdout


def running_containers() -> list[str]:
    """Ids of containers whose process runs."""
    rows = [line.split() for line in ctr("tasks", "ls").splitlines()[1:]]
    return [row[0] for row in rows if row[-1] == "RUNNING"]


def stop_containers() -> None:
    """Every container by the stop signal of its image, then SIGKILL after the grace period."""
    for name in running_containers():
        ctr("tasks", "kill", name)
    end = time.monotonic() + GRACE
    while running_containers() and time.monotonic() < end:
        time.sleep(0.2)
    for name in running_containers():
        log(f"container {name} did not stop in {GRACE} s: killed")
        ctr("tasks", "kill", "--signal", "SIGKILL", name)


def log(text: str) -> None:
    """One line into node.log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


def main(state: Path) -> None:
    """Run the node until SIGTERM."""
    description = json.loads((state / "node.json").read_text())
    mounts.enter(state, Path(description["kubernetes"]), Path(description["coredns"]))
    os.chdir(INSIDE)
    api = Api(INSIDE / "pki" / "volumes.kubeconfig")
    node = Node(Ranges(IPv4Network(description["block"])), api)
    signal.signal(signal.SIGTERM, lambda *_: node.stopping.set())
    node.tell("network")
    node.network()
    volumes = Volumes(api, log)
    volumes.mount_all()
    failed = not node.start_all()
    if not failed:
        threading.Thread(target=volumes.run, args=(node.stopping,), daemon=True).start()
        node.supervise()
    node.stop()
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
