"""`perene local` for real: a second cluster beside whatever runs, with volumes that fill, grow and survive, and no trace afterwards."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perene.errors import PereneError
from perene.local import cleanup, cluster, images, report
from perene.local.layout import Layout
from perene.local.processes import load
from tests.programs import needs

pytestmark = [pytest.mark.e2e, needs("curl", "pgrep"), pytest.mark.skipif(os.geteuid() != 0, reason="not root: perene local was not run")]
POD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 300Mi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: sehr-geheimes-wort}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: writer}
spec:
  serviceName: writer
  selector: {matchLabels: {app: writer}}
  template:
    metadata: {labels: {app: writer}}
    spec:
      terminationGracePeriodSeconds: 2
      securityContext: {runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001}
      containers:
      - name: writer
        image: perene.local/postgres:17-trixie
        command: [sh, -c, "trap 'exit 0' TERM INT; while :; do sleep 0.2; done"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


def host() -> dict[str, str]:
    """What a cluster could leave on the host, apart from what other clusters change meanwhile."""
    commands = (
        "ip netns",
        "ip -o link",
        "ip route show table all",
        "losetup -a",
        "findmnt -rn -o TARGET",
        "sysctl vm.overcommit_memory kernel.panic",
    )
    return {command: subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout for command in commands}


def eventually(check: Callable[[], object], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.5)


class Running:
    """The cluster under test and its kubectl."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.start()

    def start(self) -> float:
        begun = time.monotonic()
        self.cluster = cluster.up(self.layout.root)
        return time.monotonic() - begun

    def kubectl(self, *arguments: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
        words = [str(self.cluster.programs / "kubectl"), "--kubeconfig", str(self.cluster.kubeconfig), "--request-timeout=5s", *arguments]
        result = subprocess.run(words, capture_output=True, text=True, input=text, check=False)
        assert not check or result.returncode == 0, result.stderr
        return result

    def inside(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.kubectl("exec", "writer-0", "--", "sh", "-c", command, check=check)

    def written(self) -> bool:
        return self.inside("cat /data/row", check=False).stdout == "first\n"


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return host()


@pytest.fixture(scope="module")
def node(before: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("checkout"))
    images.load(running.layout, "postgres")
    running.kubectl("apply", "-f", "-", text=POD)
    eventually(lambda: running.inside("echo first > /data/row", check=False).returncode == 0, "a pod that writes to its volume")
    yield running
    cleanup.clean(running.layout)
    if running.layout.state.exists():
        cleanup.erase(running.layout)


def test_a_second_up_changes_nothing_and_is_quick(node: Running) -> None:
    process = load(node.layout.process_file)
    assert node.start() < 5
    assert load(node.layout.process_file) == process


def test_a_full_volume_is_full_and_continues_when_grown(node: Running) -> None:
    full = node.inside("head -c 400M /dev/zero > /data/fill", check=False)
    assert "No space left on device" in full.stderr, "the volume has the size that was asked for"
    cluster.grow(node.layout.root, "default", "data", "600Mi")
    node.inside("rm /data/fill && head -c 400M /dev/zero > /data/fill")
    size = int(node.inside("df -B1 --output=size /data | tail -1").stdout)
    assert size > 500 * 2**20
    capacity = node.kubectl("get", "pvc", "data", "-o", "jsonpath={.status.capacity.storage}").stdout
    assert capacity == "600Mi"
    eventually(lambda: (report.status(node.layout).volumes[0].used or 0) > 400 * 2**20, "the kubelet's metrics to be the volume's own", 60)
    node.inside("rm /data/fill")


def test_nobody_is_anonymous_and_secrets_are_encrypted_on_disk(node: Running) -> None:
    address = f"https://{node.cluster.node_address}:6443/api"
    code = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", address], capture_output=True, text=True, check=False
    ).stdout
    assert code == "401"
    stored = b"".join(path.read_bytes() for path in (node.layout.state / "etcd").rglob("*") if path.is_file())
    assert b"secrets/default/password" in stored, "etcd holds the Secret"
    assert b"sehr-geheimes-wort" not in stored
    assert b"k8s:enc:secretbox" in stored


def test_services_have_names_and_the_host_reaches_them(node: Running) -> None:
    assert node.inside("getent hosts kubernetes.default.svc.cluster.local").stdout.split()[0].endswith(".1")


def test_rows_survive_stop_and_start(node: Running) -> None:
    begun = time.monotonic()
    assert cluster.stop(node.layout.root)
    assert time.monotonic() - begun < 30
    assert not cluster.running(node.layout.root)
    assert cleanup.remains(node.layout) == []
    assert node.start() < 40
    eventually(node.written, "the pod to come back with its row")


def test_a_killed_node_leaves_nothing_running_and_comes_back_with_its_rows(node: Running) -> None:
    process = load(node.layout.process_file)
    assert process
    process.signal(signal.SIGKILL)
    assert process.wait(10)
    node.start()
    eventually(node.written, "the pod to come back with its row")


def test_a_component_that_dies_is_started_again(node: Running) -> None:
    own = subprocess.run(["pgrep", "-f", "/kube-scheduler --kubeconfig"], capture_output=True, text=True, check=False).stdout
    process = load(node.layout.process_file)
    assert process
    marked = {one.pid for one in cleanup.own_processes(node.layout)} & {int(word) for word in own.split()}
    assert len(marked) == 1
    os.kill(marked.pop(), signal.SIGKILL)
    eventually(lambda: "kube-scheduler ended" in report.logs(node.layout, "node", 50)["node.log"], "the restart", 15)
    assert load(node.layout.process_file) == process


def test_a_second_command_at_the_same_time_is_refused(node: Running) -> None:
    with cluster._alone(node.layout), pytest.raises(PereneError, match="another `perene local` command"):
        cluster.up(node.layout.root)


def test_destroy_leaves_nothing_and_touches_nothing_else(node: Running, before: dict[str, str]) -> None:
    cluster.destroy(node.layout.root)
    assert not node.layout.state.exists()
    assert cleanup.remains(node.layout) == []
    after = host()
    mine = (node.layout.link, node.layout.instance, str(node.layout.root))
    assert not [line for text in after.values() for line in text.splitlines() if any(word in line for word in mine)]
    # Clusters of other checkouts may come and go meanwhile; their links are named, their loop devices are told apart by `remains`.
    others = re.compile(r"\bpn[0-9a-f]{8}\b|/run/perene/volumes/")
    new = {line for command in before for line in set(after[command].splitlines()) - set(before[command].splitlines())}
    gone = {line for command in before for line in set(before[command].splitlines()) - set(after[command].splitlines())}
    assert [line for line in (new | gone) if not others.search(line)] == []
