"""A job of the tier started now, as its CronJob declares it, with other words if need be: what runs there sees the repository."""

import copy
import time
import uuid

from perene.engine.kubectl import Kubectl
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import in_cluster

SECONDS = 6 * 3600
POLL = 1.0


def run_now(client: Kubectl, namespace: str, cronjob: str, words: tuple[str, ...] = (), *, seconds: float = SECONDS) -> str:
    """Start it, wait for its end, and give back its log. words: after `perene`, instead of the declared ones.

    PereneError (exit 3) where there is no such CronJob; with the end of its log when it fails (exit code: its
    container's own) or takes too long (exit 1).
    """
    declared = client.get("cronjob", cronjob, namespace)
    if declared is None:
        raise PereneError(
            f"the tier has no job {cronjob}",
            where=f"namespace {namespace}",
            fix="declare `backups`, and bring the tier up",
            exit_code=ExitCode.CANNOT_TELL,
        )
    template = copy.deepcopy(declared["spec"]["jobTemplate"])
    spec = template["spec"] | {"backoffLimit": 0}
    if words:
        spec["template"]["spec"]["containers"][0]["command"] = ["perene", *words]
    name = f"{cronjob}-{uuid.uuid4().hex[:8]}"
    meta = {"name": name, "namespace": namespace, "labels": template.get("metadata", {}).get("labels", {})}
    client.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})
    end = time.monotonic() + seconds
    while (state := _ended(client, namespace, name)) is None and time.monotonic() < end:
        time.sleep(POLL)
    log = client.run("logs", f"job/{name}", "--namespace", namespace, "--tail=-1", seconds=60) if state is not None else ""
    if not state:
        raise PereneError(
            f"{name} failed" if state is not None else f"{name} did not end in {seconds:.0f} s",
            where=f"namespace {namespace}",
            why="\n".join(log.splitlines()[-20:]),
            fix=f"kubectl -n {namespace} logs job/{name}",
            exit_code=_code(client, namespace, name),
        )
    client.run("delete", "job", name, "--namespace", namespace, "--wait=false")
    return log


def _ended(client: Kubectl, namespace: str, name: str) -> bool | None:
    """Whether it ended well; None while it runs."""
    status = (client.get("job", name, namespace) or {}).get("status", {})
    kinds = {condition["type"] for condition in status.get("conditions", []) if condition["status"] == "True"}
    return True if "Complete" in kinds else False if "Failed" in kinds else None


def _code(client: Kubectl, namespace: str, name: str) -> ExitCode:
    """What its pod ended with; FAILED where that is none of ours (killed, never started)."""
    pods = client.find(["pods"], namespace=namespace, selector=f"batch.kubernetes.io/job-name={name}")
    code = max((in_cluster.code(pod) for pod in pods), default=ExitCode.FAILED)
    return ExitCode(code) if code in list(ExitCode) else ExitCode.FAILED
