"""A restore that runs in the cluster, where repository, secrets and stores are: a Job made from the CronJob of the backups.

A Job whose pod is lost makes another, and that goes on from the journal. What a person must mend (exit 2, 3, 6) is not tried again.
"""

import copy
import json
import secrets as random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from perene.backup import process
from perene.backup.progress import Stages
from perene.errors import PereneError
from perene.exit_codes import ExitCode

CRONJOB = "perene-backup"
CONTAINER = "perene"
MEMORY = "1Gi"
STACK = "perene.dev/stack"
REPLICAS = "perene.dev/replicas-before-restore"
FINAL = [int(code) for code in (ExitCode.USAGE, ExitCode.CANNOT_TELL, ExitCode.NOT_PROVEN)]
SECONDS = 2.0
STOP_SECONDS = 300.0
KEPT_SECONDS = 7 * 24 * 3600


def manifest(cronjob: dict[str, Any], words: Sequence[str], name: str) -> dict[str, Any]:
    """The Job: the backup's own pod with another command, and volumes that may be written. words: what stands after `perene`."""
    template = copy.deepcopy(cronjob["spec"]["jobTemplate"])
    spec = template["spec"]
    spec.pop("activeDeadlineSeconds", None)
    spec["backoffLimit"] = 3
    spec["ttlSecondsAfterFinished"] = KEPT_SECONDS
    codes = {"containerName": CONTAINER, "operator": "In", "values": FINAL}
    spec["podFailurePolicy"] = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    pod = spec["template"]["spec"]
    container = next(one for one in pod["containers"] if one["name"] == CONTAINER)
    container["command"] = ["perene", *words]
    container["resources"] = {"requests": {**container["resources"]["requests"], "memory": MEMORY}, "limits": {"memory": MEMORY}}
    for variable in container["env"]:
        if variable["name"] == "PERENE_WRITER":
            variable["value"] = "perene-restore"
    claimed = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    for volume in pod["volumes"]:
        volume.get("persistentVolumeClaim", {}).pop("readOnly", None)
    for mount in container["volumeMounts"]:
        if mount["name"] in claimed:
            mount.pop("readOnly", None)
    # What carries the stack's label and is not declared is removed by the next `up`, a running restore too.
    labels = {key: value for key, value in template["metadata"].get("labels", {}).items() if key != STACK}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def run(namespace: str, words: Sequence[str]) -> int:
    """Run `perene WORDS` in a Job, its output here; the exit code of its last pod."""
    cronjob = _get(namespace, "cronjob", CRONJOB)
    name = f"perene-restore-{datetime.now(UTC):%Y%m%d%H%M%S}-{random.token_hex(2)}"
    _kubectl(namespace, "create", "--filename=-", data=json.dumps(manifest(cronjob, words, name)).encode())
    followed: set[str] = set()
    while True:
        status = _get(namespace, "job", name).get("status", {})
        pods = _get(namespace, "pods", f"--selector=batch.kubernetes.io/job-name={name}")["items"]
        for pod in pods:
            if pod["metadata"]["name"] not in followed and pod["status"].get("phase") in {"Running", "Succeeded", "Failed"}:
                followed.add(pod["metadata"]["name"])
                command = ["kubectl", "--namespace", namespace, "logs", "--follow", pod["metadata"]["name"]]
                subprocess.run(command, env=process.environment(), check=False)
        ended = {condition["type"] for condition in status.get("conditions", []) if condition["status"] == "True"}
        if "Complete" in ended:
            return ExitCode.DONE
        if "Failed" in ended:
            return max((code(pod) for pod in pods), default=ExitCode.FAILED)
        time.sleep(SECONDS)


@contextmanager
def stopped(namespace: str, stores: Sequence[str], stages: Stages) -> Iterator[None]:
    """The applications of these stores scaled to nothing, and back at the end: workloads whose pods carry a store's access label.

    How many replicas there were stands at the workload itself, so that a run that was killed forgets nothing.
    """
    found = [one for one in _get(namespace, "deployments.apps,statefulsets.apps")["items"] if _uses(one, stores)]
    names = {f"{one['kind'].lower()}/{one['metadata']['name']}": one for one in found}
    try:
        for name, workload in names.items():
            if REPLICAS not in workload["metadata"].get("annotations", {}):
                _kubectl(namespace, "annotate", name, f"{REPLICAS}={workload['spec'].get('replicas', 1)}")
            _kubectl(namespace, "scale", name, "--replicas=0")
        for name, workload in names.items():
            labels = ",".join(f"{key}={value}" for key, value in workload["spec"]["selector"]["matchLabels"].items())
            with stages.stage("stop", name):
                _gone(namespace, labels, name)
        yield
    finally:
        for name in names:
            before = _get(namespace, *name.split("/"))["metadata"].get("annotations", {}).get(REPLICAS)
            if before is not None:
                _kubectl(namespace, "scale", name, f"--replicas={before}")
                _kubectl(namespace, "annotate", name, f"{REPLICAS}-")
                stages.note(f"{name} is started again")


def _gone(namespace: str, labels: str, name: str) -> None:
    end = time.monotonic() + STOP_SECONDS
    while _get(namespace, "pods", f"--selector={labels}")["items"]:
        if time.monotonic() > end:
            raise PereneError(f"pods of {name} do not end", where=namespace, fix="look why, end them, and give the same command again")
        time.sleep(SECONDS)


def _uses(workload: dict[str, Any], stores: Sequence[str]) -> bool:
    labels = workload["spec"]["template"]["metadata"].get("labels", {})
    return labels.get("app.kubernetes.io/managed-by") != "perene" and any(
        labels.get(f"access.perene.dev/{one}") == "true" for one in stores
    )


def code(pod: dict[str, Any]) -> int:
    """What a pod's containers ended with: the worst; FAILED while none has."""
    states = [status.get("state", {}).get("terminated") for status in pod["status"].get("containerStatuses", [])]
    return max((int(state["exitCode"]) for state in states if state), default=ExitCode.FAILED)


def _get(namespace: str, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_kubectl(namespace, "get", *words, "--output=json"))
    return found


def _kubectl(namespace: str, *words: str, data: bytes | None = None) -> bytes:
    try:
        return process.run(["kubectl", "--namespace", namespace, *words], data=data, what=f"kubectl {words[0]}")
    except PereneError as failure:
        raise PereneError(problems=failure.problems, exit_code=ExitCode.CANNOT_TELL) from None
