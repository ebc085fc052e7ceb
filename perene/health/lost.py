"""The diagnosis of "data still lost": is the volume there, mounted where, owned by whom, and what does the log say (systems.md V11)."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from perene.contract.tier import Store
from perene.errors import PereneError
from perene.health.kube import items
from perene.health.logwatch import kind_of
from perene.health.subject import Tier
from perene.health.verdict import Check, Finding, State

Run = Callable[[str, str, list[str]], str]
_OWNER = re.compile(r"^d\S+\s+\d+\s+(?P<user>\d+)\s+(?P<group>\d+)\s")


def diagnosis(tier: Tier, run: Run) -> dict[str, Check]:
    """Store -> check. run: (pod, container, command) -> what it says."""
    return {name: _of(tier, name, store, run) for name, store in tier.document.stores.items() if store.volume}


def _of(tier: Tier, name: str, store: Store, run: Run) -> Check:
    return lambda: _look(tier, name, store, run)


def _look(tier: Tier, name: str, store: Store, run: Run) -> Iterator[Finding]:
    assert store.volume, "only stores with a volume are looked at"  # noqa: S101
    claim, namespace = store.volume.claim, tier.document.namespace

    def told(state: State, check: str, what: str, next_: str = "") -> Finding:
        return Finding(state=state, store=name, check=check, what=what, next=next_)

    restore = f"perene restore newest --store {name}   (into a new place; nothing is overwritten)"
    claims = {one["metadata"]["name"]: one for one in items(tier.api, tier.path("persistentvolumeclaims"))}
    volumes = items(tier.api, "/api/v1/persistentvolumes")
    yield from _claim(claims.get(claim), volumes, claim=claim, namespace=namespace, told=told, restore=restore)
    ended = {"Succeeded", "Failed"}
    pods = [pod for pod in items(tier.api, tier.path("pods")) if _uses(pod, claim) and pod.get("status", {}).get("phase") not in ended]
    if not pods and not store.workload:
        yield told(State.WARNING, "mounted", f"no pod mounts {claim} now: is the application running, and which claim does it name?")
        return
    if not pods:
        start = f"kubectl -n {namespace} get statefulset {store.workload}; pulumi up -s {tier.stack} when it is gone"
        yield told(State.BAD, "mounted", f"no pod mounts {claim}: the application writes to somewhere else, or to nothing", start)
        return
    pod = pods[0]
    container = str(pod["spec"]["containers"][0]["name"])
    path = next((m["mountPath"] for m in pod["spec"]["containers"][0].get("volumeMounts", []) if m["name"] == _uses(pod, claim)), "")
    right = not store.workload or path == store.volume.mount_path
    what = f"{claim} is mounted at {path or 'no path of the server'}" + (
        "" if right else f"; the data is expected under {store.volume.mount_path}"
    )
    yield told(State.FINE if right else State.BAD, "mounted", what, "" if right else f"pulumi up -s {tier.stack}")
    yield from _rights(tier, pod, container=container, path=path if right else store.volume.mount_path, run=run, told=told)
    yield from _log(tier, pod, container, told)
    yield from _events(tier, pod, told)


def _claim(
    found: dict[str, Any] | None, volumes: list[dict[str, Any]], *, claim: str, namespace: str, told: Callable[..., Finding], restore: str
) -> Iterator[Finding]:
    if found and found.get("status", {}).get("phase") == "Bound":
        volume = found["spec"]["volumeName"]
        policy = next((one["spec"].get("persistentVolumeReclaimPolicy") for one in volumes if one["metadata"]["name"] == volume), "?")
        safe = policy == "Retain"
        next_ = "" if safe else f'kubectl patch pv {volume} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\''
        what = f"{claim} is bound to {volume}, which is {'kept' if safe else 'DELETED with the claim'} ({policy})"
        yield told(State.FINE if safe else State.WARNING, "volume", what, next_)
        return
    left = [
        one["metadata"]["name"]
        for one in volumes
        if (one["spec"].get("claimRef") or {}).get("name") == claim and (one["spec"].get("claimRef") or {}).get("namespace") == namespace
    ]
    state = found.get("status", {}).get("phase", "?") if found else "gone"
    if left:
        what = f"the claim {claim} is {state}, but the volume {left[0]} with its data is still there"
        clear = f'kubectl patch pv {left[0]} --type json -p \'[{{"op":"remove","path":"/spec/claimRef"}}]\'   then pulumi up'
        yield told(State.BAD, "volume", what, clear)
    else:
        yield told(State.BAD, "volume", f"the claim {claim} is {state} and no volume of it is left", restore)


def _uses(pod: dict[str, Any], claim: str) -> str:
    """The name under which a pod has the claim; empty when it has not."""
    volumes = pod["spec"].get("volumes", [])
    return next((str(one["name"]) for one in volumes if one.get("persistentVolumeClaim", {}).get("claimName") == claim), "")


def _rights(tier: Tier, pod: dict[str, Any], *, container: str, path: str, run: Run, told: Callable[..., Finding]) -> Iterator[Finding]:
    name, wanted = pod["metadata"]["name"], str(pod["spec"].get("securityContext", {}).get("runAsUser", ""))
    look = f"kubectl -n {tier.document.namespace} exec {name} -c {container} -- ls -ldn {path}"
    try:
        listed = run(name, container, ["ls", "-ldn", path])
        run(name, container, ["test", "-w", path])
    except PereneError as error:
        yield told(State.UNKNOWN, "rights", f"{path}: {error.problems[0].what}", look)
        return
    match = _OWNER.match(listed)
    owner = match["user"] if match else "?"
    group = match["group"] if match else "?"
    own = wanted in {"", owner, group}
    what = f"{path} belongs to {owner}:{group}, mode {listed.split()[0]}, the server runs as {wanted or '?'}"
    yield told(State.FINE if own else State.BAD, "rights", what, "" if own else look)


def _log(tier: Tier, pod: dict[str, Any], container: str, told: Callable[..., Finding]) -> Iterator[Finding]:
    name = pod["metadata"]["name"]
    text = tier.api.text(tier.path(f"pods/{name}/log") + f"?container={container}&tailLines=2000")
    faults = [line for line in text.splitlines() if kind_of(line) in {"damage", "panic", "fatal"}]
    logs = f"kubectl -n {tier.document.namespace} logs {name} -c {container} --tail=100"
    if not faults:
        yield told(State.FINE, "log", "the log speaks of no damage")
        return
    worst = next((line for line in faults if kind_of(line) in {"damage", "panic"}), faults[-1])
    bad = kind_of(worst) in {"damage", "panic"}
    yield told(State.BAD if bad else State.WARNING, "log", f"the log says: {worst.strip()[-160:]}", logs)


def _events(tier: Tier, pod: dict[str, Any], told: Callable[..., Finding]) -> Iterator[Finding]:
    conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", [])}
    if conditions.get("Ready") == "True":
        return  # what was said while it started is past
    for event in items(tier.api, tier.path("events")):
        if event.get("type") == "Warning" and event.get("involvedObject", {}).get("name") == pod["metadata"]["name"]:
            describe = f"kubectl -n {tier.document.namespace} describe pod {pod['metadata']['name']}"
            yield told(State.WARNING, "events", f"{event.get('reason')}: {str(event.get('message'))[:160]}", describe)
            return
