"""The checks of what protects the data: jobs, sets, guards, alerts, key."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from perene.contract.tier import TierDocument
from perene.contract.values import Duration
from perene.errors import PereneError
from perene.health.exporter import guards_of
from perene.health.facts import seal_of
from perene.health.kube import document, items
from perene.health.signals import prometheus_groups, rules_for, targets_of
from perene.health.states import Sample, moment, sample
from perene.health.subject import Tier
from perene.health.verdict import Check, Finding, State
from perene.health.words import age, size


def jobs(tier: Tier) -> Iterator[Finding]:
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


def backups(tier: Tier) -> Iterator[Finding]:
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
        # Of a weekly set the next one is due later, and so is the proof of it.
        later = figures.one("perene_newest_set_beyond_a_day_seconds", store=name) or 0
        held = size(figures.one("perene_newest_set_bytes", store=name) or 0)
        state = State.FINE if old <= later + 29 * 3600 else State.BAD
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
            state = State.FINE if now - proven <= later + 2 * every + 6 * 3600 else State.WARNING
            what = f"the newest proven set is {age(now - proven)} old"
            yield Finding(state=state, store=name, check="proven set", what=what, next="" if state == 0 else drill)
    if figures.one("perene_drill_verdict") == 0:
        yield Finding(state=State.BAD, check="drill", what="the last restore drill failed", next=f"perene report {tier.stack}")


def guards(tier: Tier) -> Iterator[Finding]:
    if not tier.document.guarded:
        yield Finding(state=State.FINE, check="guards", what="this tier is not guarded, as declared")
        return
    found = [*guards_of(tier.api, tier.document), *_guards_elsewhere(tier)]
    for one in found:
        if one.value:
            labels = dict(one.labels)
            what = f"the guard {labels['guard']} of {labels['resource']} is open"
            yield Finding(state=State.WARNING, store=labels["resource"], check="guards", what=what, next=f"pulumi up -s {tier.stack}")
    closed = sum(not one.value for one in found)
    yield Finding(state=State.FINE, check="guards", what=f"{closed} of {len(found)} guards are closed")


def _guards_elsewhere(tier: Tier) -> Iterator[Sample]:
    """Guards that only the exporter's identity sees, as it told them: of instances in a cloud, and of backup buckets."""
    in_cloud = {name for name, store in tier.document.stores.items() if store.kind == "cloud-sql"}
    kept = tier.document.repository
    if not in_cloud and not (kept and (kept.undelete_days or kept.lock_days)):
        return
    for one in tier.figures().samples:
        labels = dict(one.labels)
        if one.name == "perene_guard_open" and labels["resource"] in in_cloud:
            yield one
        if one.name == "perene_retention_lock_as_declared":
            yield sample("perene_guard_open", not one.value, resource=labels["bucket"], guard="retention")


def alerts(tier: Tier) -> Iterator[Finding]:
    wanted = {(rule["alert"], rule["labels"]["store"]) for rule in _rules(tier.document)}
    there: set[tuple[str, str]] = set()
    for config in items(tier.api, tier.path("configmaps")):
        text = config.get("data", {}).get("perene.rules.yml")
        if text:
            groups = json.loads(text).get("groups", [])
            there |= _named(groups)
    with contextlib.suppress(PereneError):  # a cluster without the Prometheus Operator has no such kind
        for one in items(tier.api, tier.path("prometheusrules", "/apis/monitoring.coreos.com/v1")):
            there |= _named(one["spec"].get("groups", []))
    missing = sorted(wanted - there)
    what = f"{len(wanted) - len(missing)} of {len(wanted)} alerts are there"
    what += f"; missing: {', '.join(f'{alert} of {store}' for alert, store in missing[:3])}" if missing else ""
    yield Finding(
        state=State.BAD if missing else State.FINE, check="alerts", what=what, next=f"pulumi up -s {tier.stack}" if missing else ""
    )


def _named(groups: list[dict[str, Any]]) -> set[tuple[str, str]]:
    rules = [rule for group in groups for rule in group["rules"]]
    return {(rule["alert"], rule["labels"].get("store", "")) for rule in rules if "alert" in rule}


def _rules(tier: TierDocument) -> list[dict[str, Any]]:
    groups = prometheus_groups(rules_for(targets_of(tier.model_dump(mode="json"))), tier.stack)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def watching(tier: Tier) -> dict[str, Check]:
    """Whether anybody would be told: the rules are there, and the exporter answers in full."""
    return {"alerts": lambda: alerts(tier), "exporter": lambda: _exporter(tier)}


def _exporter(tier: Tier) -> Iterator[Finding]:
    figures = tier.figures()
    last = figures.one("perene_exporter_last_success_timestamp_seconds")
    part = figures.label("perene_exporter_part_failed", "part")
    good = last is not None and tier.clock() - last < 900
    what = f"its last whole round was {age(tier.clock() - last)} ago" if last is not None else "it has made no whole round"
    what += f"; {part} fails" if part else ""
    log = f"kubectl -n {tier.document.namespace} logs deployment/perene-exporter"
    yield Finding(state=State.FINE if good else State.BAD, check="exporter", what=what, next="" if good else log)


def key(tier: Tier) -> Iterator[Finding]:
    """The key itself is never read: its fingerprint is a label, its sentinel is compared with the set's, and the drill has tried it."""
    declared = tier.document.encryption_key
    if not declared:
        return
    check = f"perene key check {tier.stack}"
    seal, opened = "", None
    with contextlib.suppress(PereneError):  # a silent exporter is told by the check of the backups
        figures = tier.figures()
        seal, opened = figures.label("perene_newest_set_info", "key"), figures.one("perene_drill_key_opened")
    name = "the key"
    if declared.kind == "kubernetes":
        secret = document(tier.api, f"/api/v1/namespaces/{declared.ref.scope}/secrets/{declared.ref.name}")
        print_ = secret["metadata"].get("labels", {}).get("perene.dev/key-fingerprint", "")
        if not print_:
            yield Finding(state=State.BAD, check="key", what="the key carries no fingerprint", next=check)
            return
        name = f"the key {print_}"
        # Right after a rotation the newest set is still of the generation before.
        kept = {seal_of(tier.resolve(one.sentinel)) for one in declared.generations.values() if one.sentinel} if seal else set()
        if kept and seal not in kept:
            yield Finding(state=State.BAD, check="key", what=f"{name} is not the one that the newest set was made under", next=check)
            return
    if opened == 0:
        what = f"{name} did not open what was sealed under it when the last drill tried"
        yield Finding(state=State.BAD, check="key", what=what, next=check)
    else:
        told = "" if opened is None else "; the last drill opened the sentinel with it"
        yield Finding(state=State.FINE, check="key", what=f"{name} is in place{', as in the newest set' if seal else ''}{told}")
