"""The five systems as the scenario of test_systems.py sees them: a table, and what is done to each."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from perene.engine.jobs import run_now
from perene.engine.stacks import stack_files
from perene.exit_codes import ExitCode
from tests.e2e.tier import ROOT, Done, Tier, eventually

Times = dict[str, float]
TIMES = pytest.StashKey[dict[str, Times]]()
PROBE, OPERATOR = "probe", "operator"
# What writes by itself, without anybody asking.
WRITERS = ("-camera", "-writer")


@dataclass(frozen=True)
class System:
    """One example.

    beside: the Deployment whose pod, with another command, is the place from which the application's own program is run; fill: its words
    that make data; look: its word that counts and compares; amid: the pods that are taken away while data is made, by the application's
    name or as a store's own; counts: what `look` must name, at least; carried: a file of the Deployment that `look` reads; needs:
    the variable without which its server cannot be had; switch: the word with which its manifests move the traffic; elsewhere: the name of
    a second tier of it that takes one archive in.
    """

    beside: str
    fill: tuple[str, ...]
    counts: dict[str, int]
    amid: str
    look: str = "verify"
    carried: str = ""
    needs: str = ""
    switch: str = ""
    elsewhere: str = ""


SYSTEMS: dict[str, System] = {
    "fleet": System("fleet-web", ("generate", "--photos", "200"), {"photo": 200, "audit_log": 201}, "fleet-web"),
    "olt": System("olt-web", ("generate", "--units", "500"), {"unit": 450, "photo": 20, "collected": 4}, "olt-worker", elsewhere="olt2"),
    "vision": System("vision-worker", ("camera", "--detections", "300"), {"events": 300, "pictures": 300}, "vision-worker"),
    "vectors": System("vectors-writer", (), {"acknowledged": 2000}, "vectors-g1", carried="/tmp/acknowledged.log", needs="PERENE_QDRANT"),
    "direito-lux": System("direito-lux-blue", ("generate", "--users", "500"), {"users": 501}, "direito-lux-green", switch="green"),
}


def chosen() -> tuple[list[str], str]:
    """Which systems this run takes, and why: all, those that PERENE_SYSTEMS names, or two by turns."""
    wanted = os.environ.get("PERENE_SYSTEMS", "")
    if wanted:
        return (list(SYSTEMS) if wanted == "all" else wanted.split(",")), f"PERENE_SYSTEMS={wanted}"
    today = datetime.now(UTC).date()
    return by_turns(today), f"the turn of {today}; PERENE_SYSTEMS=all takes all"


def by_turns(day: date) -> list[str]:
    """Two systems; five days in a row see each of the five twice."""
    names = list(SYSTEMS)
    return [names[(day.toordinal() + ahead) % len(names)] for ahead in (0, 2)]


class Running(Tier):
    """A system on the cluster beside the first tier, with its application."""

    def __init__(self, tier: Tier, name: str, times: Times, *, called: str = "") -> None:
        # direito-lux is the first tier of the cluster already.
        as_ = called or ("lux" if name == "direito-lux" else name)
        super().__init__(tier.root, f"{as_}-dev")
        self.name, self.as_, self.system, self.times = name, as_, SYSTEMS[name], times
        self.kept = ""

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add what passes to the table that is printed at the end."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.times[what] = self.times.get(what, 0.0) + time.monotonic() - begin

    def up(self) -> Done:
        """`perene up`; under another name and in another namespace, where the example is not the only tier of its kind.

        Without the first backup and drill: the rows that the stack's own checks count are not there yet.
        """
        if self.as_ != self.name:
            # As the checkout has it: the copy's may have been edited by a test, its key rotated.
            text = stack_files(ROOT)["dev" if self.name == "direito-lux" else f"{self.name}-dev"].read_text()
            text = text.replace(f"system: {self.name}", f"system: {self.as_}").replace(f"namespace: {self.name}", f"namespace: {self.as_}")
            (self.root / f"Pulumi.{self.stack}.yaml").write_text(text)
            if self.name == "direito-lux":
                self.shrink()
        return self.perene("up", self.stack, "--no-first-backup")

    def render(self, *words: str) -> list[dict[str, Any]]:
        """What the example's own program makes of the tier document."""
        file = self.root / f"{self.stack}.json"
        file.write_text(self.document.to_json())
        program = self.root / "examples" / self.name / "manifests.py"
        done = subprocess.run([sys.executable, str(program), str(file), *words], capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return found

    def apply(self, objects: list[dict[str, Any]]) -> None:
        self.kubectl.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), seconds=60)

    def start(self, *, writing: bool = True) -> None:
        """The application, with or without what writes by itself, and beside it the pod from which its program is run by hand."""
        objects = self.render()
        for one in objects if not writing else ():
            if one["kind"] == "CronJob":
                one["spec"]["suspend"] = True
            elif one["metadata"]["name"].endswith(WRITERS):
                one["spec"]["replicas"] = 0
        self.apply(objects)
        deployments = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Deployment"}
        template = deployments[self.system.beside]["spec"]["template"]
        container = template["spec"]["containers"][0]
        self.words = container["command"][3:]
        idle = {key: value for key, value in container.items() if key not in {"readinessProbe", "ports"}} | {
            "command": ["sleep", "infinity"]
        }
        meta = {"name": PROBE, "namespace": self.namespace}
        # Without the application's own name: its Service must not find it.
        meta["labels"] = {key: value for key, value in template["metadata"]["labels"].items() if key.startswith("access.")}
        spec = template["spec"] | {"containers": [idle], "terminationGracePeriodSeconds": 1}
        self.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}])
        for kind in ("job", "deployment"):
            for one in objects:
                if one["kind"].lower() == kind:
                    until = "--for=condition=Complete" if kind == "job" else "--for=condition=Available"
                    self.kubectl.run(
                        "wait", f"{kind}/{one['metadata']['name']}", "-n", self.namespace, until, "--timeout=180s", seconds=200
                    )
        self.kubectl.run("wait", f"pod/{PROBE}", "-n", self.namespace, "--for=condition=Ready", "--timeout=120s", seconds=130)
        if self.kept:
            self.within("sh", "-c", f"cat > {self.system.carried}", stdin=self.kept)

    def within(self, *command: str, stdin: str | None = None, also: int = 0) -> str:
        """A command in the pod beside the application; its output. also: how else it may end."""
        answer = self.kubectl.ask("exec", "-i", PROBE, "-n", self.namespace, "--", *command, stdin=stdin, seconds=300)
        assert answer.code in {0, also}, f"{' '.join(command[:3])} ended with {answer.code}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def app(self, verb: str, *more: str, also: int = 0) -> str:
        """The application's own program there, with the words of its Deployment."""
        return self.within("python3", "/etc/app/code/app.py", verb, *self.words, *more, also=also)

    def look(self, *, also: int = 0) -> dict[str, Any]:
        """Counts and hashes over everything, by the application's own program."""
        found: dict[str, Any] = json.loads(self.app(self.system.look, also=also))
        return found

    def interrupt(self) -> None:
        """Take the pods away that the table names, as a node that is drained would; until there are others."""
        server = self.system.amid.endswith("-g1")
        label = f"instance={self.system.amid},perene.dev/role=server" if server else f"name={self.system.amid}"
        chosen = {"namespace": self.namespace, "selector": f"app.kubernetes.io/{label}"}
        before = {one["metadata"]["uid"] for one in self.kubectl.find(["pods"], **chosen)}
        assert before, self.system.amid
        self.kubectl.run("delete", "pods", "-l", chosen["selector"], "-n", self.namespace, "--wait=false")

        def others() -> bool:
            pods = self.kubectl.find(["pods"], **chosen)
            conditions = [condition for one in pods for condition in one["status"].get("conditions", [])]
            ready = sum(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            return ready == len(before) and not before & {one["metadata"]["uid"] for one in pods}

        eventually(others, f"other pods of {self.system.amid}", seconds=180)

    def settle(self) -> dict[str, Any]:
        """What writes by itself is stopped, and everything that was asked for is done; what there is then."""
        if self.system.carried:
            return self.acknowledged()
        self.stop_writers()
        seen: dict[str, Any] = {}

        def done() -> bool:
            before = dict(seen)
            # Amid the work a picture is there before its row.
            seen.update(self.look(also=ExitCode.NOT_PROVEN))
            return seen == before and all(seen[name] >= least for name, least in self.system.counts.items())

        eventually(done, f"the end of the work, {self.system.counts}", seconds=180)
        return self.look()

    def acknowledged(self) -> dict[str, Any]:
        """The writer's own log of what was acknowledged, once it has gone on long enough, and what is there of it."""

        def log() -> int:
            where = ("exec", f"deployment/{self.system.beside}", "-n", self.namespace, "--", "cat", self.system.carried)
            self.kept = self.kubectl.run(*where)
            return sum(len(json.loads(line)["ids"]) for line in self.kept.splitlines())

        wanted = log() + self.system.counts["acknowledged"]
        eventually(lambda: log() >= wanted, f"{wanted} points", seconds=180)
        self.stop_writers()
        self.within("sh", "-c", f"cat > {self.system.carried}", stdin=self.kept)
        return self.look()

    def stop_writers(self) -> None:
        ours = {"namespace": self.namespace, "selector": "app.kubernetes.io/managed-by=examples"}
        for one in self.kubectl.find(["deployments.apps"], **ours):
            if one["metadata"]["name"].endswith(WRITERS):
                self.kubectl.run("scale", "deployment", one["metadata"]["name"], "-n", self.namespace, "--replicas=0")

        for one in self.kubectl.find(["cronjobs.batch"], **ours):
            self.kubectl.run("patch", "cronjob", one["metadata"]["name"], "-n", self.namespace, "-p", '{"spec": {"suspend": true}}')

        def left() -> list[str]:
            pods = self.kubectl.find(["pods"], **ours)
            return [name for one in pods if (name := one["metadata"]["labels"]["app.kubernetes.io/name"]).endswith(WRITERS)]

        eventually(lambda: not left(), "the writers' end")

    def on_schedule(self) -> None:
        """What the application does on a schedule, now."""
        for one in self.kubectl.find(["cronjobs.batch"], namespace=self.namespace, selector="app.kubernetes.io/managed-by=examples"):
            name = one["metadata"]["name"]
            self.kubectl.run("create", "job", f"--from=cronjob/{name}", f"{name}-now", "-n", self.namespace)

    def job(self, cronjob: str, *words: str) -> str:
        """A job of the tier now; its log."""
        return run_now(self.kubectl, self.namespace, cronjob, tuple(words), seconds=600)

    def stop(self) -> None:
        """The application goes, and what was put beside it."""
        ours = ("-l", "app.kubernetes.io/managed-by=examples", "-n", self.namespace)
        self.kubectl.run("delete", "deployments,cronjobs,jobs", *ours, "--cascade=foreground", seconds=120)
        self.kubectl.run("delete", "pod", PROBE, OPERATOR, "-n", self.namespace, "--ignore-not-found", seconds=60)

    def rest(self) -> None:
        """Application and servers are stopped; two tiers at once ask for more than a small node has."""
        self.stop()
        self.kubectl.run("scale", "statefulsets", "--all", "--replicas=0", "-n", self.namespace)

    def lose(self) -> list[str]:
        """The application goes; then every store's volume, its image file with it. The repository's stays. Which claims were lost."""
        self.stop()
        claims = [store.volume.claim for store in self.document.stores.values() if store.volume]
        volumes = [str((self.kubectl.get("pvc", claim, self.namespace) or {})["spec"]["volumeName"]) for claim in claims]
        self.kubectl.run("delete", "statefulsets,jobs", "--all", "-n", self.namespace, seconds=240)
        self.kubectl.run("delete", "pvc", *claims, "-n", self.namespace, seconds=240)
        self.kubectl.run("delete", "pv", *volumes, seconds=120)
        for volume in volumes:
            (self.root / ".perene/local/volumes" / f"{volume}.img").unlink()
        return claims

    def sets_ready(self) -> bool:
        """Whether every server has its pod ready."""
        sets = self.kubectl.find(["statefulsets.apps"], namespace=self.namespace)
        return bool(sets) and all((one.get("status") or {}).get("readyReplicas") == 1 for one in sets)

    def gone(self) -> None:
        """Remove everything of it."""
        self.stop()
        done = self.perene("destroy", self.stack, "--confirm", self.stack)
        assert done.returncode == 0, done.stderr
        if self.as_ != self.name:
            (self.root / f"Pulumi.{self.stack}.yaml").unlink()

    @property
    def kinds(self) -> list[str]:
        return [store.kind for store in self.document.stores.values()]

    @property
    def called(self) -> str:
        """What a restore wants typed: the only store, or the tier."""
        kept = [name for name, store in self.document.stores.items() if store.backup.ways]
        return kept[0] if len(kept) == 1 else self.stack

    def restore(self, *words: str) -> Done:
        """`perene restore WORDS` as a Job of the tier."""
        where = self.kubectl
        command = [sys.executable, "-m", "perene", "restore", *words, "--namespace", self.namespace, "--in-cluster"]
        path = f"{os.path.dirname(where.binary)}{os.pathsep}{self.path}"  # noqa: PTH120
        env = os.environ | {"KUBECONFIG": str(where.kubeconfig), "PYTHONPATH": str(self.root), "PATH": path}
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=900, check=False)

    def operator(self) -> None:
        """A pod as the tier's backups have, with a shell in it: the repository and its password are there."""
        cronjob = self.kubectl.get("cronjob", "perene-backup", self.namespace)
        assert cronjob
        template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
        container = template["spec"]["containers"][0] | {"command": ["sleep", "infinity"]}
        spec = template["spec"] | {"containers": [container], "terminationGracePeriodSeconds": 1}
        meta = {"name": OPERATOR, "namespace": self.namespace, "labels": template["metadata"]["labels"]}
        self.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}])
        self.kubectl.run("wait", f"pod/{OPERATOR}", "-n", self.namespace, "--for=condition=Ready", "--timeout=120s", seconds=130)

    def operates(self, *command: str, stdin: bytes | None = None) -> bytes:
        """A command in that pod."""
        call = self.kubectl.command("exec", "-i", OPERATOR, "-n", self.namespace, "--", *command, seconds=300)
        return subprocess.run(call, input=stdin, capture_output=True, check=True).stdout

    def switch_over(self) -> list[str]:
        """Which version answered each request while the traffic was moved; a request that fails is one too many."""
        service = self.kubectl.get("service", self.name, self.namespace)
        assert service
        address = f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}/health"

        def version() -> str:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return str(json.loads(answer.read())["version"])

        answers = [version() for _ in range(20)]
        self.apply([one for one in self.render(self.system.switch) if one["kind"] == "Service"])
        end = time.monotonic() + 60
        while answers[-20:] != ["2.0"] * 20 and time.monotonic() < end:
            answers.append(version())
        return answers

    def health(self) -> dict[str, Any]:
        """`perene health`, once the exporter has looked at what was made last."""
        self.kubectl.run("delete", "pod", "-l", "app.kubernetes.io/name=perene-exporter", "-n", self.namespace, seconds=60)
        found: dict[str, Any] = {}

        def told() -> bool:
            found.update(json.loads(self.perene("health", self.stack, "--json", "--all").stdout))
            return not wrong(found)

        with contextlib.suppress(AssertionError):
            eventually(told, "health", seconds=150)
        return found


def wrong(health: dict[str, Any]) -> list[dict[str, Any]]:
    """What is not green."""
    return [one for one in health["findings"] if one["state"] in {"bad", "unknown"}]


def table(times: dict[str, Times]) -> str:
    """System by step, in seconds."""
    steps = list(dict.fromkeys(step for one in times.values() for step in one))
    rows = [["", *steps, "all"]]
    rows += [[name, *(f"{one.get(step, 0):.0f}" for step in steps), f"{sum(one.values()):.0f}"] for name, one in times.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
