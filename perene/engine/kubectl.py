"""One way to talk to a cluster: kubectl, with the kubeconfig and context always said, JSON in and out."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.logs import rotate

Manifest = dict[str, Any]
# A lost packet must not hang a command for the ten minutes that kubectl would wait.
REQUEST_SECONDS = 10
DATA_LINES = 400


@dataclass(frozen=True)
class Answer:
    """What one kubectl call said; code is its exit status."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Kubectl:
    """kubectl bound to one cluster.

    kubeconfig: the file to read, never the one of the environment; log: where every call is noted (arguments, status and errors;
    neither input nor output, which may hold secrets).
    """

    kubeconfig: Path
    context: str
    binary: str = "kubectl"
    log: Path | None = field(default=None, compare=False)

    def command(self, *arguments: str, seconds: int = REQUEST_SECONDS) -> list[str]:
        """The whole command line."""
        where = ["--kubeconfig", str(self.kubeconfig), "--context", self.context]
        return [self.binary, *where, f"--request-timeout={seconds}s", *arguments]

    def ask(self, *arguments: str, stdin: str | None = None, seconds: int = REQUEST_SECONDS) -> Answer:
        """Run kubectl and return what it said, whatever its exit status."""
        command = self.command(*arguments, seconds=seconds)
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds * 6 + 60, check=False)
        except FileNotFoundError:
            raise PereneError(
                f"{self.binary} is not installed",
                why="perene reaches a cluster through kubectl only",
                fix="install kubectl, or let `perene local up` build it",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(command, 124, "", "kubectl did not end")
        self._note(arguments, done)
        return Answer(done.returncode, done.stdout, done.stderr.strip())

    def run(self, *arguments: str, stdin: str | None = None, seconds: int = REQUEST_SECONDS) -> str:
        """Run kubectl and return its output; PereneError with kubectl's own message when it fails."""
        answer = self.ask(*arguments, stdin=stdin, seconds=seconds)
        if answer.code:
            raise PereneError(answer.stderr or f"kubectl ended with {answer.code}", where=f"kubectl {' '.join(arguments[:4])}")
        return answer.stdout

    def ready(self) -> None:
        """Really ask the API server whether it is ready; PereneError (exit 3) when it is not or cannot be reached."""
        answer = self.ask("get", "--raw", "/readyz", seconds=5)
        if answer.code or answer.stdout.strip() != "ok":
            raise PereneError(
                f"the cluster does not answer: {answer.stderr or answer.stdout.strip()}",
                where=f"context {self.context}",
                why="without an answer nothing can be known about what a change would do",
                fix="start the cluster (`make up`, or `perene local status` to see what is wrong)",
                exit_code=ExitCode.CANNOT_TELL,
            )

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """One object, or None where there is none."""
        text = self.run("get", kind, name, *_in(namespace), "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def find(self, kinds: Sequence[str], *, namespace: str | None = None, selector: str = "") -> list[Manifest]:
        """The objects of some kinds in a namespace (None: in all), by label selector."""
        where = _in(namespace) or ("--all-namespaces",)
        chosen = ("--selector", selector) if selector else ()
        return items(self.run("get", ",".join(kinds), *where, *chosen, "-o", "json", seconds=30))

    def live(self, manifests: Iterable[Manifest]) -> list[Manifest]:
        """What exists of the given objects."""
        return items(self.run("get", "--ignore-not-found", "-o", "json", "-f", "-", stdin=as_list(manifests), seconds=30))

    def find_live_with_owners(self, manifests: Iterable[Manifest]) -> list[Manifest]:
        """What exists of the given objects, with the owners of their fields."""
        answer = self.run(
            "get", "--ignore-not-found", "--show-managed-fields", "-o", "json", "-f", "-", stdin=as_list(manifests), seconds=30
        )
        return items(answer)

    def create(self, manifest: Manifest) -> bool:
        """Create an object and never change an existing one: True when it is new. The value goes over stdin."""
        answer = self.ask("create", "-f", "-", stdin=json.dumps(manifest))
        if answer.code and "AlreadyExists" not in answer.stderr:
            raise PereneError(answer.stderr, where=f"kubectl create {manifest['kind']} {manifest['metadata']['name']}")
        return answer.code == 0

    def logs(self, pod: str, namespace: str, *, previous: bool = False, container: str = "") -> list[str]:
        """The last lines of a pod's log; none when there is none."""
        chosen = ("-c", container) if container else ()
        before = ("--previous",) if previous else ()
        return self.ask("logs", pod, "-n", namespace, *chosen, *before, "--tail=20").stdout.splitlines()

    def _note(self, arguments: Sequence[str], done: "subprocess.CompletedProcess[str]") -> None:
        if self.log is None:
            return
        rotate(self.log)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"kubectl {' '.join(arguments)} -> {done.returncode}\n")
            file.writelines(f"    {line}\n" for line in done.stderr.splitlines()[:DATA_LINES])


def as_list(manifests: Iterable[Manifest]) -> str:
    """Manifests as one Kubernetes List in JSON."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def _in(namespace: str | None) -> tuple[str, ...]:
    return ("--namespace", namespace) if namespace else ()


def items(text: str) -> list[Manifest]:
    """The objects in kubectl's JSON output: a List, one object, or nothing."""
    if not text.strip():
        return []
    document = json.loads(text)
    found: list[Manifest] = document["items"] if document["kind"].endswith("List") else [document]
    return found
