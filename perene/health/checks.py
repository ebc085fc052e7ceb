"""The table of health checks of a tier."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perene.contract.tier import ServiceEndpoint, Store, TierDocument
from perene.contract.values import Duration
from perene.health import database, growth
from perene.health.exporter import guards_of
from perene.health.figures import Figures
from perene.health.kube import Api, document, items
from perene.health.signals import prometheus_groups, rules_for, targets_of
from perene.health.states import moment
from perene.health.verdict import Check, Finding, State
from perene.health.words import age, size

ALERTS = "alerts"  # the program's component, and the ConfigMap or PrometheusRule it makes
_HELLO = {"redis": b"PING\r\n", "http": b"GET /readyz HTTP/1.0\r\n\r\n", "amqp": b"AMQP\x00\x00\x09\x01"}


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What the checks look at. resolve: a secret's reference to its value; figures: the exporter's; history: file of volume use."""

    document: TierDocument
    api: Api
    resolve: database.Resolve
    figures: Callable[[], Figures]
    history: Path | None = None
    clock: Callable[[], float] = field(default=time.time)

    @property
    def stack(self) -> str:
        """The stack's name, for the commands to type."""
        return self.document.stack

    def path(self, kind: str, api: str = "/api/v1") -> str:
        """Where objects of the tier's namespace are listed."""
        return f"{api}/namespaces/{self.document.namespace}/{kind}"


def checks(tier: Tier) -> dict[str, Check]:
    """Name -> check. Each store's server is asked by itself, so that a slow one delays none of the others."""
    table: dict[str, Check] = {
        "cluster": lambda: _cluster(tier),
        "pods": lambda: _pods(tier),
        "volumes": lambda: _volumes(tier),
        "jobs": lambda: _jobs(tier),
        "backups": lambda: _backups(tier),
        "guards": lambda: _guards(tier),
        "alerts": lambda: _alerts(tier),
        "key": lambda: _key(tier),
    }
    for name, store in tier.document.stores.items():
        table[f"{name} answers"] = _server(tier, name, store)
    return table


def _server(tier: Tier, name: str, store: Store) -> Check:
    if store.kind == "postgres":
        return lambda: database.probe(name, store, tier.resolve, tier.stack)
    return lambda: _service(tier, name, store)


def _cluster(tier: Tier) -> Iterator[Finding]:
    version = document(tier.api, "/version")["gitVersion"]
    yield Finding(state=State.FINE, check="cluster", what=f"Kubernetes {version} answers")


def _service(tier: Tier, name: str, store: Store) -> Iterator[Finding]:
    if not isinstance(store.endpoint, ServiceEndpoint):
        return
    where = (store.endpoint.host, store.endpoint.port)
    try:
        with socket.create_connection(where, 3) as connection:
            connection.sendall(_HELLO[store.endpoint.protocol])
            said = connection.recv(64)
    except OSError as failed:
        yield Finding(state=State.BAD, store=name, check="reachable", what=str(failed), next=f"perene health {tier.stack} --lost")
        return
    ready = bool(said) and not said.startswith((b"HTTP/1.0 5", b"HTTP/1.1 5"))
    yield Finding(
        state=State.FINE if ready else State.BAD,
        store=name,
        check="reachable",
        what=f"{store.kind} {'answers' if ready else 'answers, and is not ready'}",
        next="" if ready else f"perene health {tier.stack} --lost",
    )


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
        if not mounted:
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


def _jobs(tier: Tier) -> Iterator[Finding]:
    if not tier.document.backups:
        return
    jobs = items(tier.api, tier.path("cronjobs", "/apis/batch/v1"))
    if not jobs:
        yield Finding(state=State.BAD, check="jobs", what="the tier has no jobs: nothing is backed up", next=f"pulumi up -s {tier.stack}")
    for job in jobs:
        name, status = job["metadata"]["name"], job.get("status", {})
        scheduled, succeeded = status.get("lastScheduleTime"), status.get("lastSuccessfulTime")
        resume = f'kubectl -n {tier.document.namespace} patch cronjob {name} -p \'{{"spec":{{"suspend":false}}}}\''
        if job["spec"].get("suspend"):
            yield Finding(state=State.BAD, check="jobs", what=f"{name} is suspended", next=resume)
        elif scheduled and not status.get("active") and (not succeeded or moment(succeeded) < moment(scheduled)):
            logs = f"kubectl -n {tier.document.namespace} logs -l job-name --prefix --tail=20"
            yield Finding(state=State.BAD, check="jobs", what=f"the last run of {name} failed", next=logs)
        else:
            when = f", last success {age(tier.clock() - moment(succeeded))} ago" if succeeded else ", has not run yet"
            yield Finding(state=State.FINE, check="jobs", what=f"{name} is scheduled{when}")


def _backups(tier: Tier) -> Iterator[Finding]:
    if not tier.document.backups:
        yield Finding(
            state=State.WARNING, check="backups", what="no backups are declared for this tier", next="add `backups` to the configuration"
        )
        return
    figures, now = tier.figures(), tier.clock()
    backup, drill = f"perene backup --namespace {tier.document.namespace}", f"perene drill --namespace {tier.document.namespace}"
    if not figures.one("perene_repository_readable"):
        yield Finding(
            state=State.BAD,
            check="repository",
            what="the repository cannot be read",
            next=f"perene repo check --namespace {tier.document.namespace}",
        )
        return
    on_hand = figures.one("perene_sets") or 0
    wanted = sum(tier.document.backups.keep.values())
    yield Finding(state=State.FINE, check="retention", what=f"{on_hand:.0f} sets on hand (up to {wanted} are kept)")
    limit = 29 * 3600
    every = Duration.parse(tier.document.backups.drill_every).seconds
    for name, store in tier.document.stores.items():
        if "logical" not in store.backup.ways:
            continue
        newest = figures.one("perene_newest_set_timestamp_seconds", store=name)
        proven = figures.one("perene_newest_proven_set_timestamp_seconds", store=name)
        if newest is None:
            yield Finding(state=State.BAD, store=name, check="newest set", what="there is no recovery set yet", next=backup)
            continue
        old = now - newest
        held = size(figures.one("perene_newest_set_bytes", store=name) or 0)
        state = State.FINE if old <= limit else State.BAD
        yield Finding(
            state=state,
            store=name,
            check="newest set",
            what=f"the newest is {age(old)} old ({held})",
            next="" if state == 0 else backup,
        )
        if proven is None:
            yield Finding(state=State.BAD, store=name, check="proven set", what="no set was ever restored and compared", next=drill)
        else:
            state = State.FINE if now - proven <= 2 * every + 6 * 3600 else State.WARNING
            what = f"the newest proven set is {age(now - proven)} old"
            yield Finding(state=state, store=name, check="proven set", what=what, next="" if state == 0 else drill)
    if figures.one("perene_drill_verdict") == 0:
        yield Finding(state=State.BAD, check="drill", what="the last restore drill failed", next=f"perene report {tier.stack}")


def _guards(tier: Tier) -> Iterator[Finding]:
    if not tier.document.guarded:
        yield Finding(state=State.FINE, check="guards", what="this tier is not guarded, as declared")
        return
    found = list(guards_of(tier.api, tier.document))
    for one in found:
        if one.value:
            labels = dict(one.labels)
            what = f"the guard {labels['guard']} of {labels['resource']} is open"
            yield Finding(state=State.WARNING, store=labels["resource"], check="guards", what=what, next=f"pulumi up -s {tier.stack}")
    closed = sum(not one.value for one in found)
    yield Finding(state=State.FINE, check="guards", what=f"{closed} of {len(found)} guards are closed")


def _alerts(tier: Tier) -> Iterator[Finding]:
    wanted = {(rule["alert"], rule["labels"]["store"]) for rule in _rules(tier.document)}
    there: set[tuple[str, str]] = set()
    for config in items(tier.api, tier.path("configmaps")):
        text = config.get("data", {}).get("perene.rules.yml")
        if text:
            groups = json.loads(text).get("groups", [])
            there |= {(rule["alert"], rule["labels"]["store"]) for group in groups for rule in group["rules"]}
    missing = sorted(wanted - there)
    what = f"{len(wanted) - len(missing)} of {len(wanted)} alerts are there"
    what += f"; missing: {', '.join(f'{alert} of {store}' for alert, store in missing[:3])}" if missing else ""
    yield Finding(
        state=State.BAD if missing else State.FINE, check="alerts", what=what, next=f"pulumi up -s {tier.stack}" if missing else ""
    )


def _rules(tier: TierDocument) -> list[dict[str, Any]]:
    groups = prometheus_groups(rules_for(targets_of(tier.model_dump(mode="json"))), tier.stack)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def watching(tier: Tier) -> dict[str, Check]:
    """Whether anybody would be told: the rules are there, and the exporter answers in full."""
    return {"alerts": lambda: _alerts(tier), "exporter": lambda: _exporter(tier)}


def _exporter(tier: Tier) -> Iterator[Finding]:
    figures = tier.figures()
    last = figures.one("perene_exporter_last_success_timestamp_seconds")
    part = figures.label("perene_exporter_part_failed", "part")
    good = last is not None and tier.clock() - last < 900
    what = f"its last whole round was {age(tier.clock() - last)} ago" if last is not None else "it has made no whole round"
    what += f"; {part} fails" if part else ""
    log = f"kubectl -n {tier.document.namespace} logs deployment/perene-exporter"
    yield Finding(state=State.FINE if good else State.BAD, check="exporter", what=what, next="" if good else log)


def _key(tier: Tier) -> Iterator[Finding]:
    key = tier.document.encryption_key
    if not key or key.kind != "kubernetes":
        return
    secret = document(tier.api, f"/api/v1/namespaces/{key.ref.scope}/secrets/{key.ref.name}")
    print_ = secret["metadata"].get("labels", {}).get("perene.dev/key-fingerprint", "")
    check = f"perene secrets check {tier.stack}"
    if not print_:
        yield Finding(state=State.BAD, check="key", what="the key carries no fingerprint", next=check)
        return
    in_set = tier.figures().label("perene_newest_set_info", "key")
    if in_set and in_set != print_:
        what = f"the key in place ({print_}) is not the one of the newest set ({in_set})"
        yield Finding(state=State.BAD, check="key", what=what, next=check)
    else:
        yield Finding(state=State.FINE, check="key", what=f"the key {print_} is in place{', as in the newest set' if in_set else ''}")
