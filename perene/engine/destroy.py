"""`perene destroy`: everything of a dev tier with its data, on whichever way it was made."""

import time
from collections.abc import Callable
from pathlib import Path

from perene.engine import apply, engine_choice, monitor, target
from perene.engine.kubectl import Kubectl
from perene.engine.lock import alone
from perene.engine.progress import Progress
from perene.engine.pulumi_cli import Cli
from perene.engine.tier import document
from perene.errors import PereneError
from perene.local import cluster

NAMESPACE_SECONDS = 120
JOBS = "app.kubernetes.io/name=perene-backups"


def destroy(root: Path, stack: str, progress: Progress, confirm: Callable[[str, str], None]) -> None:
    """Remove the tier. confirm: given the name and what is about to happen, raises unless the name was typed.

    PereneError before any change while a store is guarded. What perene made for the tier goes with it: objects, volumes, secrets, the
    namespace where it was ours, and the local cluster when no other stack of this checkout lives in it.
    """
    program = monitor.run(root, stack)
    apply.refuse_guarded(program)
    where = target.of_stack(root, stack)
    tier = document(program)
    name = f"{tier.system}-{tier.environment}"
    confirm(name, f"{name} in context {where.context} goes with all its rows, volumes and secrets.")
    with alone(root, f"perene destroy {stack}"), progress.stage("destroy"):
        # Asked again: between the question and the lock another run may have put a guard there.
        apply.refuse_guarded(monitor.run(root, stack))
        kubectl = where.client(progress.log)
        kubectl.ready()
        hooks = apply.Hooks(say=progress.say, show=progress.show, judge=lambda _: None)
        engine = engine_choice.choose(root, stack)
        if engine_choice.recorded(root, stack) == "cli":
            cli = Cli(root, stack, where, progress, engine.program)
            cli.prepare()
            cli.run("destroy", "--yes", "--skip-preview", "--non-interactive", "-s", stack)
            cli.run("stack", "rm", "--yes", "--force", "-s", stack)
        # A claim stays as long as a pod names it, a finished one too: restores are started by hand, and belong to no CronJob that goes.
        kubectl.run("delete", "jobs", "-n", tier.namespace, "-l", JOBS, "--cascade=foreground", seconds=NAMESPACE_SECONDS)
        removed = apply.destroy(kubectl, program, hooks)
        _remove_namespace(kubectl, tier.namespace, stack, progress)
        target.forget(root, stack)
        engine_choice.forget(root, stack)
        for memory in (root / ".perene" / "stacks" / stack).glob("proof-*.json"):
            memory.unlink()
        if where.kind == "perene-local" and not any((root / ".perene" / "stacks").glob("*/cluster.json")):
            cluster.destroy(root, progress.local)
    progress.show(f"{name} is gone: {len(removed)} objects removed")


def _remove_namespace(kubectl: Kubectl, namespace: str, stack: str, progress: Progress) -> None:
    """The namespace with its Secrets, where perene made it for this stack; released volumes of its claims too."""
    found = kubectl.get("namespace", namespace)
    if not found or (found["metadata"].get("labels") or {}).get("perene.dev/stack") != stack:
        return
    progress.say(f"removing the namespace {namespace}")
    kubectl.run("delete", "namespace", namespace, "--wait=false")
    deadline = time.monotonic() + NAMESPACE_SECONDS
    while kubectl.get("namespace", namespace):
        if time.monotonic() > deadline:
            raise PereneError(f"the namespace {namespace} does not end", fix=f"kubectl describe namespace {namespace}")
        time.sleep(1)
    for volume in kubectl.find(["persistentvolumes"]):
        claim = volume["spec"].get("claimRef") or {}
        if claim.get("namespace") == namespace and volume.get("status", {}).get("phase") == "Released":
            kubectl.run("delete", "persistentvolume", volume["metadata"]["name"], "--wait=false")
