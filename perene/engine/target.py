"""Which cluster a stack lives in: chosen once, written down, and never exchanged under existing data."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from perene.engine.kubectl import Kubectl
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import state, write_private

Kind = Literal["perene-local", "kind", "k3d", "minikube", "docker-desktop", "named"]
# Contexts that tools for clusters on one's own computer make.
_LOCAL_CONTEXTS: tuple[tuple[Kind, str], ...] = (
    ("kind", r"kind-.+"),
    ("k3d", r"k3d-.+"),
    ("minikube", r"minikube"),
    ("docker-desktop", r"docker-desktop"),
)
_OWN_COMPUTER = re.compile(
    r"(127\..+|localhost|::1|0\.0\.0\.0|10\..+|172\.(1[6-9]|2\d|3[01])\..+|192\.168\..+|kubernetes\.docker\.internal)"
)


@dataclass(frozen=True)
class Target:
    """One stack's cluster. kubeconfig: a private file with this one context; kubectl: the program to use."""

    kind: Kind
    kubeconfig: Path
    context: str
    kubectl: str = "kubectl"

    def client(self, log: Path | None = None) -> Kubectl:
        """kubectl bound to the cluster."""
        return Kubectl(self.kubeconfig, self.context, self.kubectl, log)


def recorded(root: Path, stack: str) -> Target | None:
    """The cluster that `up` chose for this stack in this checkout, or None."""
    file = _file(root, stack)
    if not file.exists():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    return Target(found["kind"], Path(found["kubeconfig"]), found["context"], found["kubectl"])


def record(root: Path, stack: str, target: Target) -> None:
    """Write the choice down. PereneError (exit 3) when the stack already lives in another cluster."""
    before = recorded(root, stack)
    if before and (before.kind, before.context) != (target.kind, target.context):
        raise PereneError(
            f"the stack {stack} lives in context {before.context}, not in {target.context}",
            where=".perene",
            why="another cluster starts with empty volumes, and the rows would stay behind",
            fix=f"use --context {before.context}; or `perene destroy {stack}` first, then bring it up elsewhere",
            exit_code=ExitCode.CANNOT_TELL,
        )
    values = {"kind": target.kind, "kubeconfig": str(target.kubeconfig), "context": target.context, "kubectl": target.kubectl}
    state(root, "stacks", stack)
    write_private(_file(root, stack), json.dumps(values, indent=2) + "\n")


def forget(root: Path, stack: str) -> None:
    """The stack lives nowhere any more."""
    _file(root, stack).unlink(missing_ok=True)


def of_stack(root: Path, stack: str) -> Target:
    """The recorded cluster; PereneError (exit 3) where there is none."""
    target = recorded(root, stack)
    if target is None:
        raise PereneError(
            f"no cluster is known for the stack {stack}",
            fix="`make up` chooses or makes one; for a cluster that exists: --context NAME",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return target


def current_context() -> str | None:
    """The user's current kubeconfig context, or None."""
    return _kubectl("config", "current-context").strip() or None


def local_kind(context: str) -> Kind | None:
    """What made a context's cluster, when its name and its server's address both say that it runs on this computer."""
    kind = next((kind for kind, pattern in _LOCAL_CONTEXTS if re.fullmatch(pattern, context)), None)
    server = _kubectl("config", "view", "--minify", "--context", context, "-o", "jsonpath={.clusters[0].cluster.server}")
    return kind if kind and _OWN_COMPUTER.fullmatch(urlsplit(server.strip()).hostname or "") else None


def adopt_context(root: Path, stack: str, context: str) -> Target:
    """A target for an existing context: its part of the user's kubeconfig is copied to a private file, so that nothing can switch it."""
    text = _kubectl("config", "view", "--minify", "--flatten", "--raw", "--context", context, "-o", "json")
    if not text:
        raise PereneError(f"the kubeconfig has no context {context!r}", fix="see `kubectl config get-contexts`", exit_code=ExitCode.USAGE)
    document = json.loads(text)
    document["current-context"] = context
    kubeconfig = state(root, "stacks", stack) / "kubeconfig"
    write_private(kubeconfig, json.dumps(document))
    return Target(local_kind(context) or "named", kubeconfig, context)


def _kubectl(*arguments: str) -> str:
    try:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False, env=os.environ, timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _file(root: Path, stack: str) -> Path:
    return root / ".perene" / "stacks" / stack / "cluster.json"
