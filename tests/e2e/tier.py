"""A tier under test: a copy of the checkout, its commands, its rows, and what happens to it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from perene.contract.tier import TierDocument
from perene.engine.kubectl import Kubectl
from perene.engine.proof import Connector
from perene.engine.target import of_stack
from perene.local import cluster
from perene.local.layout import Layout
from perene.local.processes import load

ROOT = Path(__file__).parents[2]
NAMESPACE = "direito-lux"
ROWS = 20_000
# `make up` for a test that is not about the tier's first set.
WITHOUT_BACKUP = "UP=--no-first-backup"
Done = subprocess.CompletedProcess[str]


class Tier:
    """The dev tier in a copy of the checkout."""

    first_up: Done

    def __init__(self, root: Path, stack: str = "dev", path: str = "") -> None:
        self.root, self.stack = root, stack
        # Without a CLI unless the test is about it.
        self.path = path or os.pathsep.join(d for d in os.environ["PATH"].split(os.pathsep) if not Path(d, "pulumi").exists())

    def copy(self, source: Path) -> None:
        """The committed and uncommitted files of the checkout, with small volumes, so that they can be filled."""
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=source, capture_output=True, text=True, check=True)
        for name in names.stdout.splitlines():
            if (source / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, self.root / name)
        self.shrink()

    def shrink(self) -> None:
        """Volumes of direito-lux's dev tier that can be filled."""
        self.edit("volume: {size: 20GiB}", "volume: {size: 2GiB}")
        self.edit("repository: {kind: volume, size: 20GiB}", "repository: {kind: volume, size: 1GiB}")

    def edit(self, old: str, new: str, name: str = "") -> None:
        """Change the stack file, or another file of the copy."""
        file = self.root / (name or f"Pulumi.{self.stack}.yaml")
        text = file.read_text()
        assert old in text, f"{old!r} is not in {file.name}"
        file.write_text(text.replace(old, new))

    def make(self, target: str, *variables: str) -> Done:
        """`make TARGET VARIABLES` in the copy, with the interpreter that runs the tests."""
        ready = f"{self.root}/.venv/.ready"
        return self._run(
            ["make", "-s", "-o", ready, f"VENV={self.root}/.venv", f"PY={sys.executable}", f"STACK={self.stack}", target, *variables]
        )

    def perene(self, *words: str) -> Done:
        """`perene WORDS` in the copy."""
        return self._run([sys.executable, "-m", "perene", *words])

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """The same, without waiting."""
        return subprocess.Popen(
            [sys.executable, "-m", "perene", *words],
            cwd=self.root,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def kubectl(self) -> Kubectl:
        """The tier's cluster."""
        return of_stack(self.root, self.stack).client()

    @property
    def document(self) -> TierDocument:
        """What the cluster says about the tier."""
        found = self.kubectl.get("configmap", "perene-tier", self.namespace)
        assert found, "the tier document is in the cluster"
        return TierDocument.parse(found["data"]["tier.json"], "perene-tier")

    @property
    def namespace(self) -> str:
        """Where the tier lives."""
        return NAMESPACE if self.stack == "dev" else self.stack.removesuffix("-dev")

    @contextlib.contextmanager
    def connect(self, role: str) -> Iterator[psycopg.Connection[Any]]:
        """A connection to the store `main` over verified TLS, as any client makes one."""
        document = self.document
        store = document.stores["main"]
        service = self.kubectl.get("service", str(store.workload), self.namespace)
        assert service, "the Service exists"
        connector = Connector(
            self.kubectl,
            self.namespace,
            store,
            database=next(iter(store.databases)),
            address=(service["spec"]["clusterIP"], 5432),
            directory=self.root / ".perene",
        )
        with connector.open(role) as connection:
            yield connection

    def write_rows(self) -> None:
        """The rows that must survive everything, made by migrator and written by app."""
        with self.connect("migrator") as ddl:
            ddl.execute("CREATE TABLE IF NOT EXISTS kept (id int PRIMARY KEY, text text NOT NULL)")
        with self.connect("app") as app:
            app.execute("INSERT INTO kept SELECT n, md5(n::text) FROM generate_series(1, %s) n ON CONFLICT DO NOTHING", (ROWS,))

    def rows(self) -> tuple[int, str]:
        """Count and digest of the rows."""
        with self.connect("readonly") as reader:
            found = reader.execute("SELECT count(*), md5(string_agg(id || text, ',' ORDER BY id)) FROM kept").fetchone()
        assert found
        return found[0], found[1]

    def versions(self) -> dict[str, str]:
        """kind/name -> resourceVersion of everything whose change would be a change of the tier."""
        kinds = ["statefulsets.apps", "services", "configmaps", "persistentvolumeclaims", "secrets", "jobs.batch", "networkpolicies"]
        found = self.kubectl.find(kinds, namespace=self.namespace)
        return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in found}

    def pod(self) -> dict[str, Any]:
        """The server's pod."""
        found = self.kubectl.get("pod", "main-g1-0", self.namespace)
        return found or {"metadata": {"uid": ""}, "status": {}}

    def restarts(self) -> int:
        """How often the server's container was started again; the exporter beside it has a count of its own."""
        statuses = self.pod()["status"].get("containerStatuses", [])
        return sum(each.get("restartCount", 0) for each in statuses if each["name"] == "postgres")

    def ready(self) -> bool:
        """Whether the server's pod is ready."""
        conditions = self.pod()["status"].get("conditions", [])
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def execute(self, *command: str) -> str:
        """A command in the server's container."""
        return self.kubectl.run("exec", "main-g1-0", "-n", self.namespace, "-c", "postgres", "--", *command, seconds=120)

    def postmaster(self) -> int:
        """The server's first process, as the host sees it."""
        uid = self.pod()["metadata"]["uid"]
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = uid in (process / "cgroup").read_text() or uid.replace("-", "_") in (process / "cgroup").read_text()
                if ours and (process / "comm").read_text().strip() == "postgres":
                    parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                    if Path(f"/proc/{parent}/comm").read_text().strip() != "postgres":
                        return int(process.name)
        raise AssertionError("no server process found on this host")

    def tag_image(self, name: str, new: str) -> None:
        """Give an image in the node a second name."""
        process = load(Layout(self.root).process_file)
        assert process, "the node runs"
        command = ["nsenter", "--target", str(process.pid), "--mount", "ctr", "-n", "k8s.io", "images", "tag", name, new]
        subprocess.run(command, check=True, capture_output=True)

    def kill_node(self) -> None:
        """The node's power is cut."""
        process = load(Layout(self.root).process_file)
        assert process, "the node runs"
        os.kill(process.pid, signal.SIGKILL)

    def remove(self) -> None:
        """Everything of the copy and its cluster."""
        cluster.destroy(self.root)
        shutil.rmtree(self.root, ignore_errors=True)

    def _run(self, command: list[str]) -> Done:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        (self.root / "commands.log").open("a").write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}-> {done.returncode}\n")
        return done

    def _environment(self) -> dict[str, str]:
        own = {"PATH": self.path, "PYTHONPATH": str(self.root), "KUBECONFIG": str(self.root / "no-kubeconfig")}
        return {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")} | own


def eventually(check: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.5)


def seconds_of(done: Done) -> float:
    """How long `perene up` says that it took."""
    line = next(line for line in done.stderr.splitlines() if " is up in " in line)
    return float(line.split(" is up in ")[1].split(" s")[0])


def manifest(kind: str, name: str, namespace: str) -> str:
    """A small object of someone else."""
    return json.dumps(
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "data": {"whose": "another's"}}
    )
