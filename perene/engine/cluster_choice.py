"""Which cluster a stack goes to: the one where it lives, a local one of the current context, kind, or one that perene makes."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perene.engine import target
from perene.engine.progress import Progress
from perene.engine.target import Target
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import cluster as local
from perene.local.layout import Layout

KIND_SECONDS = 600


@dataclass(frozen=True)
class Choice:
    """A target and why it was taken."""

    target: Target
    reason: str


def choose(root: Path, stack: str, context: str | None, confirm: Callable[[str], str], progress: Progress) -> Choice:
    """Find or make the cluster. confirm: asks for a name to be typed and returns what was typed.

    PereneError (exit 3) for a cluster elsewhere whose name was not typed, or when the stack lives in another one.
    """
    choice = _choose(root, stack, context, confirm, progress)
    target.record(root, stack, choice.target)
    return choice


def _choose(root: Path, stack: str, context: str | None, confirm: Callable[[str], str], progress: Progress) -> Choice:
    if context:
        return Choice(named(root, stack, context, confirm), f"named with --context {context}")
    before = target.recorded(root, stack)
    if before and before.kind != "perene-local":
        return Choice(target.adopt_context(root, stack, before.context), "the stack lives there")
    if not before:
        current = target.current_context()
        if current and target.local_kind(current):
            return Choice(target.adopt_context(root, stack, current), "the current kube context is a local cluster")
        if docker_runs():
            if shutil.which("kind"):
                return Choice(target.adopt_context(root, stack, _kind(root, progress)), "Docker runs here")
            progress.show("Docker runs here, but `kind` is not on PATH: perene makes its own cluster")
    found = local.up(root, progress.local)
    why = "the stack lives there" if before else "there is no local kube context and no Docker with kind"
    return Choice(Target("perene-local", found.kubeconfig, found.context, str(found.programs / "kubectl")), why)


def named(root: Path, stack: str, context: str, confirm: Callable[[str], str]) -> Target:
    """The target of a context that the caller named; one elsewhere has to be typed. PereneError (exit 3) when it was not."""
    before = target.recorded(root, stack)
    if before and before.kind == "perene-local" and before.context == context:
        return before
    if before is None or before.context != context or before.kind == "named":
        _confirm_foreign(context, confirm)
    return target.adopt_context(root, stack, context)


def _confirm_foreign(context: str, confirm: Callable[[str], str]) -> None:
    if target.local_kind(context):
        return
    typed = confirm(f"{context} is no cluster on this computer. Type its context's name to go on: ")
    if typed != context:
        raise PereneError(
            f"{context} was not confirmed",
            why="a cluster that is not local is never touched by mistake",
            fix="run it again and type the name, or leave --context out",
            exit_code=ExitCode.CANNOT_TELL,
        )


def docker_runs() -> bool:
    """Whether a Docker daemon answers."""
    if not shutil.which("docker"):
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _kind(root: Path, progress: Progress) -> str:
    """The checkout's own kind cluster, made when it is missing: its context."""
    name = Layout(root).name
    known = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, timeout=60, check=False).stdout.split()
    if name not in known:
        progress.say(f"kind creates the cluster {name}")
        done = subprocess.run(
            ["kind", "create", "cluster", "--name", name, "--wait", "120s"],
            capture_output=True,
            text=True,
            timeout=KIND_SECONDS,
            check=False,
        )
        progress.note(done.stderr)
        if done.returncode:
            raise PereneError(
                f"kind made no cluster: {done.stderr.strip().splitlines()[-1]}", fix="see `kind create cluster`, or stop Docker"
            )
    return f"kind-{name}"
