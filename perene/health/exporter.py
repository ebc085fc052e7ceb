"""What `perene exporter` shows to Prometheus: sets, drills, repository, guards, certificates, log counts, volumes, pods and jobs.

It gathers on its own beat and shows the last result, so that a scrape never waits. A part that fails is left out and named; the time of
the last complete round is a metric, so that silence is seen.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perene.backup.places import open_place
from perene.contract.tier import PostgresEndpoint, Store, TierDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health import states
from perene.health.certificates import not_after
from perene.health.cloud_sql_runs import newest_automated, open_guards
from perene.health.facts import Evidence
from perene.health.kube import Api, document, items
from perene.health.logwatch import KINDS, LogCounter
from perene.health.states import Sample, moment, sample

TIER_CONFIG = "perene-tier"
DAY = 86400
_LISTS: tuple[tuple[str, str, Callable[[Iterable[states.Object]], Iterator[Sample]]], ...] = (
    ("apps/v1", "statefulsets", states.of_stateful_sets),
    ("batch/v1", "jobs", states.of_jobs),
    ("batch/v1", "cronjobs", states.of_cron_jobs),
)


def of_evidence(tier: TierDocument, evidence: Evidence) -> Iterator[Sample]:
    """Sets, drills, sealed copy and repository of a tier."""
    stack = tier.stack
    yield sample("perene_repository_readable", not evidence.problem, stack=stack)
    if evidence.problem:
        return
    yield sample("perene_repository_lock_age_seconds", evidence.lock_age, stack=stack)
    yield sample("perene_sets", len(evidence.on_hand), stack=stack)
    for store in tier.stores:
        newest, proven = evidence.newest(store), evidence.newest(store, proven=True)
        if newest:
            yield sample("perene_newest_set_timestamp_seconds", newest.finished, stack=stack, store=store)
            yield sample("perene_newest_set_bytes", newest.bytes, stack=stack, store=store)
            yield sample("perene_newest_set_duration_seconds", newest.seconds, stack=stack, store=store)
            yield sample("perene_newest_set_beyond_a_day_seconds", newest.every - DAY, stack=stack, store=store)
            yield sample("perene_newest_set_info", 1, stack=stack, store=store, set=newest.id, key=newest.key)
        if proven:
            yield sample("perene_newest_proven_set_timestamp_seconds", proven.finished, stack=stack, store=store)
    drill = evidence.last_drill()
    if drill:
        yield sample("perene_drill_timestamp_seconds", drill.finished, stack=stack)
        yield sample("perene_drill_verdict", evidence.drills_pass, stack=stack)
        yield sample("perene_drill_rto_seconds", drill.rto, stack=stack)
        yield sample("perene_drill_rto_goal_seconds", drill.rto_goal, stack=stack)
        yield sample("perene_drill_rpo_seconds", drill.rpo, stack=stack)
        yield sample("perene_drill_rpo_goal_seconds", drill.rpo_goal, stack=stack)
        if drill.key_opened is not None:
            yield sample("perene_drill_key_opened", drill.key_opened, stack=stack)
    if evidence.sealed is not None:
        yield sample("perene_sealed_copy_timestamp_seconds", evidence.sealed, stack=stack)


def promises_of(tier: TierDocument, ask: Callable[[str], tuple[int, int]] = lambda url: open_place(url).promises()) -> Iterator[Sample]:
    """Whether each backup bucket keeps what the program declared: days of undeletion and of the lock, at least. PereneError unless told."""
    kept = tier.repository
    if not kept:
        return
    declared = {"repository": (kept.url, kept.undelete_days or 0, 0), "sealed-copy": (kept.sealed_copy or "", 0, kept.lock_days or 0)}
    for bucket, (url, undelete, lock) in declared.items():
        if not url or not (undelete or lock):
            continue
        try:
            brings_back, locked = ask(url)
        except Exception as failed:  # noqa: BLE001 - each cloud's client has errors of its own
            raise PereneError(f"its settings cannot be read: {failed}", where=url, exit_code=ExitCode.CANNOT_TELL) from None
        yield sample("perene_retention_lock_as_declared", brings_back >= undelete and locked >= lock, stack=tier.stack, bucket=bucket)


def guards_of(api: Api, tier: TierDocument) -> Iterator[Sample]:
    """Guards of a guarded tier that are off (1) or on (0): by declaration, on the volume, on the StatefulSet."""
    if not tier.guarded:
        return
    policies = {
        (volume["spec"].get("claimRef") or {}).get("name"): volume["spec"].get("persistentVolumeReclaimPolicy")
        for volume in items(api, "/api/v1/persistentvolumes")
        if (volume["spec"].get("claimRef") or {}).get("namespace") == tier.namespace
    }
    retention = {
        one["metadata"]["name"]: one["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        for one in items(api, f"/apis/apps/v1/namespaces/{tier.namespace}/statefulsets")
    }
    for name, store in tier.stores.items():
        opened = {"delete": not store.guarded}
        if store.volume:
            opened["reclaim-policy"] = policies.get(store.volume.claim) == "Delete"
        if store.workload:
            opened["claim-retention"] = "Delete" in retention.get(store.workload, {}).values()
        for guard, is_open in opened.items():
            yield sample("perene_guard_open", is_open, stack=tier.stack, resource=name, guard=guard)


@dataclass(eq=False)
class Exporter(Collector):
    """Gathers and shows. evidence: reads the repository; it is asked every `evidence_every` seconds, the rest at every round."""

    api: Api
    namespace: str
    evidence: Callable[[TierDocument], Evidence]
    with_states: bool = True
    automated: Callable[[str], float | None] = newest_automated
    instance: Callable[[Store, str], Mapping[str, bool]] = open_guards
    promises: Callable[[TierDocument], Iterable[Sample]] = promises_of
    evidence_every: float = 300
    clock: Callable[[], float] = time.time
    _shown: tuple[Sample, ...] = ()
    _cloud_told: tuple[Sample, ...] = ()
    _promises: tuple[Sample, ...] | PereneError = ()
    _evidence: Evidence | None = None
    _asked: float = float("-inf")
    _logs: dict[str, LogCounter] = field(default_factory=dict)
    _complete: float | None = None

    def gather(self) -> dict[str, str]:
        """One round; which parts failed, and why."""
        failed: dict[str, str] = {}
        found: list[Sample] = []
        try:
            config = document(self.api, f"/api/v1/namespaces/{self.namespace}/configmaps/{TIER_CONFIG}")
            tier = TierDocument.parse(config["data"]["tier.json"], TIER_CONFIG)
        except PereneError as error:
            self._shown = tuple(self._health({"tier": str(error)}, ""))
            return {"tier": str(error)}
        self._ask(tier)
        parts: dict[str, Callable[[], Iterable[Sample]]] = {
            "evidence": lambda: of_evidence(tier, self._evidence or Evidence(problem="never asked")),
            "since": lambda: self._since(tier, config),
            "logs": lambda: self._log_lines(tier),
            "certificates": lambda: self._certificates(tier),
            "volumes": self._kubelets,
            "cloud": lambda: self._cloud_told,
            "buckets": self._buckets,
            "guards": lambda: guards_of(self.api, tier),
        }
        if self.with_states:
            parts["states"] = self._states
        for name, part in parts.items():
            try:
                found += part()
            except PereneError as error:
                failed[name] = str(error)
        if not failed:
            self._complete = self.clock()
        self._shown = (*found, *self._health(failed, tier.stack))
        return failed

    def _ask(self, tier: TierDocument) -> None:
        if self.clock() - self._asked < self.evidence_every:
            return
        self._asked = self.clock()
        try:
            self._evidence = self.evidence(tier)
        except PereneError as error:
            self._evidence = Evidence(problem=str(error))
        try:
            self._promises = tuple(self.promises(tier))
        except PereneError as error:
            self._promises = error
        # What was known before stays: an hour-old time of a backup is still that backup's time, and ages as it should.
        with contextlib.suppress(PereneError):
            self._cloud_told = tuple(self._cloud(tier))

    def _buckets(self) -> tuple[Sample, ...]:
        if isinstance(self._promises, PereneError):
            raise self._promises
        return self._promises

    def _cloud(self, tier: TierDocument) -> Iterator[Sample]:
        """The cloud service's own backups and guards, asked as seldom as the repository."""
        for name, store in tier.stores.items():
            if isinstance(store.endpoint, PostgresEndpoint) and store.kind == "cloud-sql" and store.endpoint.connection_name:
                newest = self.automated(store.endpoint.connection_name)
                if newest is not None:
                    yield sample("perene_automated_backup_timestamp_seconds", newest, stack=tier.stack, store=name)
                for guard, is_open in self.instance(store, store.endpoint.connection_name).items():
                    yield sample("perene_guard_open", is_open, stack=tier.stack, resource=name, guard=guard)

    def _health(self, failed: dict[str, str], stack: str) -> Iterator[Sample]:
        for part in failed:
            yield sample("perene_exporter_part_failed", 1, stack=stack, part=part)
        if self._complete is not None and stack:
            yield sample("perene_exporter_last_success_timestamp_seconds", self._complete, stack=stack)

    def _path(self, group: str, kind: str) -> str:
        return f"/apis/{group}/namespaces/{self.namespace}/{kind}"

    def _core(self, kind: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{kind}"

    def _states(self) -> Iterator[Sample]:
        yield from states.of_pods(items(self.api, self._core("pods")))
        yield from states.of_claims(items(self.api, self._core("persistentvolumeclaims")))
        for group, kind, turn in _LISTS:
            yield from turn(items(self.api, self._path(group, kind)))

    def _kubelets(self) -> Iterator[Sample]:
        nodes = {
            (pod["spec"]["nodeName"], pod.get("status", {}).get("hostIP", ""))
            for pod in items(self.api, self._core("pods"))
            if pod["spec"].get("nodeName")
        }
        for node, address in sorted(nodes):
            yield from states.of_kubelet(self.api.stats(node, address), self.namespace)

    def _since(self, tier: TierDocument, config: states.Object) -> Iterator[Sample]:
        """Since when each store is there: its volume's age, else the tier's."""
        created = {
            claim["metadata"]["name"]: moment(claim["metadata"]["creationTimestamp"])
            for claim in items(self.api, self._core("persistentvolumeclaims"))
        }
        born = moment(config["metadata"]["creationTimestamp"])
        for name, store in tier.stores.items():
            since = created.get(store.volume.claim, born) if store.volume else born
            yield sample("perene_watched_since_timestamp_seconds", since, stack=tier.stack, store=name)

    def _log_lines(self, tier: TierDocument) -> Iterator[Sample]:
        for name, store in tier.stores.items():
            if store.kind == "postgres" and store.workload:
                pod = f"{store.workload}-0"
                counter = self._logs.setdefault(name, LogCounter())
                query = "container=postgres&timestamps=true&sinceSeconds=300&limitBytes=4000000"
                counter.feed(self.api.text(self._core(f"pods/{pod}/log") + f"?{query}"))
                for kind in KINDS:
                    value = counter.counts[kind]
                    yield sample("perene_database_log_lines_total", value, counter=True, stack=tier.stack, store=name, kind=kind)

    def _certificates(self, tier: TierDocument) -> Iterator[Sample]:
        for name, store in tier.stores.items():
            if store.workload and store.endpoint:
                ends = not_after(store.endpoint.host, store.endpoint.port, asked=store.kind == "postgres")
                yield sample("perene_certificate_not_after_timestamp_seconds", ends, stack=tier.stack, store=name)

    def collect(self) -> Iterator[Metric]:
        """The last round's samples as Prometheus families."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for one in self._shown:
            keys = [key for key, _ in one.labels]
            kind = CounterMetricFamily if one.counter else GaugeMetricFamily
            family = families.setdefault(one.name, kind(one.name.removesuffix("_total"), one.name.replace("_", " "), labels=keys))
            family.add_metric([value for _, value in one.labels], float(one.value))
        yield from families.values()

    def run(self, stop: threading.Event, every: float, tell: Callable[[dict[str, str]], None]) -> None:
        """Gather until stopped; `tell` hears which parts failed whenever that changes."""
        before: dict[str, str] | None = None
        while not stop.is_set():
            failed = self.gather()
            if failed != before:
                tell(failed)
            before = failed
            stop.wait(every)
