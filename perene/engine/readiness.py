"""Whether an object is ready, and what it waits for: pure functions over what the cluster says, and the loop around them."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from perene.engine.kubectl import Kubectl, Manifest
from perene.engine.objects import Declared, key, shown
from perene.errors import PereneError, Problem

SLOW_KINDS = frozenset({"StatefulSet", "Deployment", "Job"})
DEFAULT_SECONDS = 300
# One fast restart may be a start that had to wait for something; two are a fault that stays.
RESTARTS = 2
_IMAGE_FAULTS = {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"}
# What a log says: what helps.
_HINTS = (
    (
        "No space left on device",
        "the volume is full: enlarge volume.size in the stack file, and run this again",
    ),
    ("refused: the volume cannot be written", "mend its owner, its mount or its space, which the log names: nothing is lost by it"),
    ("refused: the volume is not mounted", "look at the pod's volumes: the claim must be mounted where the store's entry says"),
    ("refused: the volume once held", "restore into the next generation (docs/stores.md); look for what took the data away first"),
    ("refused: the volume", "go back to the image that made the volume; a change of major or family is a restore into the next generation"),
    ("has invalid permissions", "the data directory's permissions were changed from outside: look at the volume before anything else"),
)


@dataclass(frozen=True)
class State:
    """One object's state. ready, or failed for good, or waiting for what `reason` says."""

    ready: bool
    reason: str = ""
    failed: bool = False


def state(item: Manifest, pods: Sequence[Manifest]) -> State:
    """The state of a live object; pods: those that it owns."""
    status: dict[str, Any] = item.get("status") or {}
    if item["kind"] == "Job":
        return _job(status, pods)
    wanted = item["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
    updated = status.get("updatedReplicas", 0) if status.get("currentRevision") != status.get("updateRevision") else wanted
    if current and updated >= wanted and status.get("readyReplicas", 0) >= wanted:
        return State(ready=True)
    faults = [fault for pod in pods if (fault := pod_fault(pod))]
    return State(ready=False, reason="; ".join(faults or map(_pod_wait, pods)) or "no pod yet", failed=any(map(_hopeless, pods)))


def pod_fault(pod: Manifest) -> str:
    """What is wrong with a pod, or "" when it is only on its way."""
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _IMAGE_FAULTS | {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError"}:
            said = f" ({waiting['message']})" if waiting.get("message") and waiting["reason"] != "CrashLoopBackOff" else ""
            return f"container {container['name']}: {waiting['reason']}, {container.get('restartCount', 0)} restarts{said}"
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"not scheduled: {condition.get('message', condition.get('reason', ''))}"
    return ""


def stuck(item: Manifest, pods: Iterable[Manifest]) -> list[str]:
    """Pods of a StatefulSet that no new apply replaces: of an old revision, or waiting out a crash or a missing image, and not ready."""
    if item["kind"] != "StatefulSet":
        return []
    revision = (item.get("status") or {}).get("updateRevision")
    found = []
    for pod in pods:
        old = revision and pod["metadata"].get("labels", {}).get("controller-revision-hash") != revision
        backs_off = {"CrashLoopBackOff", "ImagePullBackOff"}
        crashed = any((c.get("state", {}).get("waiting") or {}).get("reason") in backs_off for c in _containers(pod))
        if not _is_ready(pod) and not pod["metadata"].get("deletionTimestamp") and (crashed or (old and pod_fault(pod))):
            found.append(pod["metadata"]["name"])
    return found


def wait(kubectl: Kubectl, wanted: Sequence[Declared], say: Callable[[str], None], *, seconds: float = DEFAULT_SECONDS) -> None:
    """Wait until all are ready. A stuck pod is deleted once, so that it starts at once with what is declared now (its volume stays).

    PereneError with the cause and the last lines of the log when one fails or the time is over.
    """
    watched = [item for item in wanted if item.manifest["kind"] in SLOW_KINDS]
    deadline = time.monotonic() + seconds
    restarted: dict[str, str] = {}
    while watched:
        live = {key(item): item for item in kubectl.live(item.manifest for item in watched)}
        pods = {what: _owned(kubectl, item) for what, item in live.items()}
        states = {what: state(item, pods[what]) for what, item in live.items()}
        for what, item in live.items():
            for pod in set(stuck(item, pods[what])) - restarted.keys():
                say(f"pod {pod} is stuck: it is started anew, its volume stays")
                kubectl.ask("delete", "pod", pod, "-n", what[1], "--wait=false")
                restarted[pod] = next(one["metadata"]["uid"] for one in pods[what] if one["metadata"]["name"] == pod)
        watched = [item for item in watched if not states.get(item.key, State(ready=False)).ready]
        failed = [what for what, found in states.items() if found.failed and not _uids(pods[what]) & set(restarted.values())]
        late = time.monotonic() > deadline
        if watched and (failed or late):
            raise _failure(kubectl, [item.key for item in watched if late or item.key in failed], states, pods)
        if watched:
            say(
                "; ".join(
                    f"{shown(item.key)}: {states.get(item.key, State(ready=False, reason='not there yet')).reason}" for item in watched
                )
            )
            time.sleep(1)


def _job(status: dict[str, Any], pods: Sequence[Manifest]) -> State:
    met = {condition["type"] for condition in status.get("conditions", []) if condition["status"] == "True"}
    if "Complete" in met:
        return State(ready=True)
    if "Failed" in met:
        return State(ready=False, reason="failed", failed=True)
    return State(ready=False, reason="; ".join(map(_pod_wait, pods)) or "no pod yet", failed=any(map(_hopeless, pods)))


def _failure(kubectl: Kubectl, late: Sequence[Any], states: dict[Any, State], pods: dict[Any, list[Manifest]]) -> PereneError:
    problems = []
    for what in late:
        lines = [line for pod in pods.get(what, []) for line in _last_lines(kubectl, pod)]
        said = "\n".join(lines)
        hint = next((hint for pattern, hint in _HINTS if pattern in said), f"kubectl -n {what[1]} describe {what[0].lower()} {what[2]}")
        reason = states[what].reason if what in states else "it is not there"
        problems.append(Problem(what=f"did not become ready: {reason}", where=shown(what), why="\n       ".join(lines[-8:]), fix=hint))
    return PereneError(problems=problems)


def _last_lines(kubectl: Kubectl, pod: Manifest) -> list[str]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    for container in _containers(pod):
        if container.get("restartCount") or not container.get("ready"):
            for previous in (True, False):
                lines = kubectl.logs(name, namespace, container=container["name"], previous=previous)
                if lines:
                    return lines
    return []


def _owned(kubectl: Kubectl, item: Manifest) -> list[Manifest]:
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {"job-name": item["metadata"]["name"]}
    found = kubectl.find(
        ["pods"], namespace=item["metadata"]["namespace"], selector=",".join(f"{label}={value}" for label, value in labels.items())
    )
    return [pod for pod in found if any(_owns(item, owner) for owner in pod["metadata"].get("ownerReferences", []))]


def _owns(item: Manifest, owner: Manifest) -> bool:
    """Whether a pod's owner is the object itself, or the ReplicaSet (`<name>-<digest>`) that a Deployment made."""
    name: str = item["metadata"]["name"]
    return bool(owner["name"] == name or (owner.get("kind") == "ReplicaSet" and owner["name"].rpartition("-")[0] == name))


def _hopeless(pod: Manifest) -> bool:
    return any(
        reason in _IMAGE_FAULTS - {"ErrImagePull"} | {"CreateContainerConfigError"}
        or (reason == "CrashLoopBackOff" and container.get("restartCount", 0) >= RESTARTS)
        for container in _containers(pod)
        for reason in [(container.get("state", {}).get("waiting") or {}).get("reason")]
    )


def _pod_wait(pod: Manifest) -> str:
    name, phase = pod["metadata"]["name"], pod.get("status", {}).get("phase", "Unknown")
    if pod["metadata"].get("deletionTimestamp"):
        return f"pod {name} is stopping"
    return f"pod {name} is {phase}{'' if _is_ready(pod) or phase != 'Running' else ', not ready yet'}"


def _is_ready(pod: Manifest) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod.get("status", {}).get("conditions", []))


def _containers(pod: Manifest) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _uids(pods: Iterable[Manifest]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}
