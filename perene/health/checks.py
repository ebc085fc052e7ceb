"""The table of health checks of a tier, and those of its servers, pods and volumes."""

import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from perene.contract.tier import ServiceEndpoint, Store
from perene.health import database, growth, protection, services
from perene.health.kube import document, items
from perene.health.subject import Resolve, Tier
from perene.health.targets import settings_of
from perene.health.verdict import Check, Finding, State
from perene.health.words import size


class Probe(Protocol):
    """Asks one server. address: where its host is found from here."""

    def __call__(self, name: str, store: Store, resolve: Resolve, stack: str, *, address: str = "") -> Iterator[Finding]:
        """What is found."""


def checks(tier: Tier) -> dict[str, Check]:
    """Name -> check. Each store's server is asked by itself, so that a slow one delays none of the others."""
    table: dict[str, Check] = {
        "cluster": lambda: _cluster(tier),
        "pods": lambda: _pods(tier),
        "volumes": lambda: _volumes(tier),
        "jobs": lambda: protection.jobs(tier),
        "backups": lambda: protection.backups(tier),
        "guards": lambda: protection.guards(tier),
        "alerts": lambda: protection.alerts(tier),
        "key": lambda: protection.key(tier),
    }
    for name, store in tier.document.stores.items():
        table[f"{name} answers"] = _server(tier, name, store)
    return table


def _server(tier: Tier, name: str, store: Store) -> Check:
    if isinstance(store.endpoint, ServiceEndpoint):
        return lambda: _asked(tier, name, store, services.probe)
    limits = settings_of(tier.document.model_dump(mode="json"), name)
    asked = partial(database.probe, connections=limits.get("connections", 0.8), slow=limits.get("slow-query", 5))
    return lambda: _asked(tier, name, store, asked)


def _asked(tier: Tier, name: str, store: Store, probe: Probe) -> Iterator[Finding]:
    # A file volume has no server, and an instance in a cloud is reached through the proxy of a pod only: the exporter tells of both.
    if store.endpoint is None or store.kind == "cloud-sql":
        return
    address = _address(tier, store.endpoint.host)
    if address and not _open(address, store.endpoint.port):
        what = f"the service's address {address} cannot be reached from here, so it was not asked"
        inside = {"postgres": " -- psql -h /run/postgresql -U admin postgres"}.get(store.kind, " -- sh")
        forward = f"kubectl -n {tier.document.namespace} exec -it {store.workload}-0 -c {store.kind}{inside}"
        yield Finding(state=State.UNKNOWN, store=name, check="reachable", what=what, next=forward)
        return
    yield from probe(name, store, tier.resolve, tier.stack, address=address)


def _address(tier: Tier, host: str) -> str:
    """The address of a Service, whose name only the cluster's own resolver knows; empty for any other host."""
    if not host.endswith(".svc.cluster.local"):
        return ""
    service = document(tier.api, tier.path(f"services/{host.partition('.')[0]}"))
    return str(service["spec"]["clusterIP"])


def _open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1.5).close()
    except OSError:
        return False
    return True


def _cluster(tier: Tier) -> Iterator[Finding]:
    version = document(tier.api, "/version")["gitVersion"]
    yield Finding(state=State.FINE, check="cluster", what=f"Kubernetes {version} answers")


def _pods(tier: Tier) -> Iterator[Finding]:
    pods = {pod["metadata"]["name"]: pod for pod in items(tier.api, tier.path("pods"))}
    for name, store in tier.document.stores.items():
        if not store.workload:
            continue
        pod = pods.get(f"{store.workload}-0")
        look = f"kubectl -n {tier.document.namespace} describe pod {store.workload}-0"
        if not pod:
            yield Finding(state=State.BAD, store=name, check="pod", what="it has no pod", next=f"perene health {tier.stack} --lost")
            continue
        conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", [])}
        statuses = pod.get("status", {}).get("containerStatuses", [])
        restarts = sum(status["restartCount"] for status in statuses)
        waits = [status["state"]["waiting"].get("reason", "") for status in statuses if "waiting" in status.get("state", {})]
        ready = conditions.get("Ready") == "True"
        what = f"pod {store.workload}-0 is {'ready' if ready else 'not ready'}{f' ({waits[0]})' if waits else ''}"
        what += f", {restarts} restarts" if restarts else ""
        yield Finding(state=State.FINE if ready else State.BAD, store=name, check="pod", what=what, next="" if ready else look)


def _volumes(tier: Tier) -> Iterator[Finding]:
    claims = {claim["metadata"]["name"]: claim for claim in items(tier.api, tier.path("persistentvolumeclaims"))}
    pods = items(tier.api, tier.path("pods"))
    use: dict[str, dict[str, Any]] = {}
    for node, address in sorted({(p["spec"].get("nodeName", ""), p.get("status", {}).get("hostIP", "")) for p in pods} - {("", "")}):
        for pod in tier.api.stats(node, address).get("pods", []):
            if pod["podRef"]["namespace"] == tier.document.namespace:
                use |= {volume["pvcRef"]["name"]: volume for volume in pod.get("volume", []) if "pvcRef" in volume}
    lost = f"perene health {tier.stack} --lost"
    days = growth.days_until_full(
        tier.history, {name: (float(one["usedBytes"]), float(one["capacityBytes"])) for name, one in use.items()}, tier.clock()
    )
    for name, store in tier.document.stores.items():
        if not store.volume:
            continue
        claim = store.volume.claim
        if claim not in claims:
            yield Finding(state=State.BAD, store=name, check="volume", what=f"the claim {claim} is not there", next=lost)
            continue
        phase = claims[claim].get("status", {}).get("phase")
        if phase != "Bound":
            yield Finding(state=State.BAD, store=name, check="volume", what=f"the claim {claim} is {phase}", next=lost)
            continue
        mounted = _mounted(pods, claim)
        if not store.workload:
            # A file volume: applications mount it where they like, and only while they run.
            what = f"{claim} is {f'mounted at {mounted[0]}, owner {mounted[1]}' if mounted else 'there; nothing mounts it now'}"
            yield Finding(state=State.FINE, store=name, check="volume", what=what)
        elif not mounted:
            yield Finding(state=State.BAD, store=name, check="volume", what=f"no pod mounts {claim}", next=lost)
        elif mounted[0] != store.volume.mount_path:
            what = f"{claim} is mounted at {mounted[0]}, not at {store.volume.mount_path}: new data goes elsewhere"
            yield Finding(state=State.BAD, store=name, check="volume", what=what, next=lost)
        else:
            yield Finding(state=State.FINE, store=name, check="volume", what=f"{claim} at {mounted[0]}, owner {mounted[1]}")
        if claim in use:
            yield _space(tier, name, use[claim], days.get(claim))
        else:
            yield Finding(state=State.UNKNOWN, store=name, check="space", what=f"nobody measures {claim}", next=lost)


def _mounted(pods: list[dict[str, Any]], claim: str) -> tuple[str, str] | None:
    """Where a pod mounts the claim, and as whom; None when none does."""
    for pod in pods:
        if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            continue
        for volume in pod["spec"].get("volumes", []):
            if volume.get("persistentVolumeClaim", {}).get("claimName") != claim:
                continue
            for container in pod["spec"]["containers"]:
                for mount in container.get("volumeMounts", []):
                    if mount["name"] == volume["name"]:
                        security = pod["spec"].get("securityContext", {})
                        return mount["mountPath"], f"{security.get('runAsUser', '?')}:{security.get('fsGroup', '?')}"
    return None


def _space(tier: Tier, name: str, volume: dict[str, Any], days: float | None) -> Finding:
    left = volume["availableBytes"] / volume["capacityBytes"]
    state = State.BAD if left < 0.05 else State.WARNING if left < 0.2 or (days is not None and days < 7) else State.FINE
    trend = "" if days is None else f", full in {days:.0f} days at this pace" if days < 3650 else ", not growing"
    what = f"{size(volume['availableBytes'])} of {size(volume['capacityBytes'])} left ({left:.0%}){trend}"
    grow = f"perene local grow {tier.document.stores[name].volume.claim if tier.document.stores[name].volume else ''}"  # type: ignore[union-attr]
    return Finding(state=state, store=name, check="space", what=what, next="" if state is State.FINE else grow)
