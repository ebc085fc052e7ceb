"""A program as a plan document: its stores with their ways back, its components with their resources, guards and sizes."""

import re
from collections import Counter
from collections.abc import Iterator

from perene.contract.plan import Copy, PlanDocument, PlannedComponent, PlannedResource, PlannedStore
from perene.contract.tier import Store, TierDocument
from perene.engine import compare, facts, mermaid
from perene.engine.program import Program, Registration
from perene.engine.tier import document as tier_document


def draw(program: Program, against: Program | None = None) -> PlanDocument:
    """The plan of one program, compared with another one where that is given."""
    tier = tier_document(program)
    stores = tuple(_store(name, store, tier, program) for name, store in tier.stores.items())
    key = tier.encryption_key
    return PlanDocument(
        stack=program.stack,
        system=tier.system,
        environment=tier.environment,
        owner=tier.owner,
        namespace=tier.namespace,
        guarded=tier.guarded,
        key=f"{key.kind}: {key.ref.scope}/{key.ref.name}" if key else "",
        stores=stores,
        components=tuple(_components(program, tier)),
        counts=dict(sorted(Counter(resource.type for resource in program.resources if resource.custom).items())),
        messages=tuple(message.text for message in program.messages),
        mermaid=mermaid.diagram(tier.system, stores),
        against=compare.compare(program, against) if against else None,
    )


def _store(name: str, store: Store, tier: TierDocument, program: Program) -> PlannedStore:
    instance = _instance(store, program)
    where = (
        f"Kubernetes, {tier.namespace}/{store.workload}"
        if store.workload
        else f"Cloud SQL, {facts.at(instance.inputs, 'region')}"
        if instance
        else ""
    )
    return PlannedStore(
        name=name,
        kind=store.kind,
        generation=store.generation,
        version=store.version,
        where=where,
        size=store.volume.size if store.volume else facts.size(instance) if instance else "",
        rpo=store.goals.rpo,
        rto=store.goals.rto,
        guarded=store.guarded,
        copies=tuple(_copies(store, tier, program)),
    )


def _instance(store: Store, program: Program) -> Registration | None:
    """The Cloud SQL instance of a store."""
    connection = getattr(store.endpoint, "connection_name", None)
    found = (resource for resource in program.of_type(facts.CLOUD_SQL) if resource.outputs.get("connectionName") == connection)
    return next(found, None) if connection else None


def _copies(store: Store, tier: TierDocument, program: Program) -> Iterator[Copy]:
    backups, repository, instance = tier.backups, tier.repository, _instance(store, program)
    if "pitr" in store.backup.ways:
        yield Copy(
            kind="pitr",
            where="Cloud SQL, write-ahead log",
            made="all the time",
            kept=f"any moment of the last {store.backup.pitr_days} days",
            proven=f"every {backups.pitr_drill_every}" if backups and backups.pitr_drill_every else "",
            caution="of little use once the instance is deleted: the other copies are for that",
        )
    if "automated" in store.backup.ways and instance:
        settings = facts.at(instance.inputs, "settings.backupConfiguration") or {}
        yield Copy(
            kind="automated",
            where=f"Cloud SQL, {settings.get('location', 'its region')}",
            made=f"daily, from {settings.get('startTime', '?')} UTC",
            kept=f"the last {store.backup.automated_keep}",
            caution="in the same project: whoever may delete the project may delete them",
        )
    if "logical" in store.backup.ways and backups and repository:
        in_cluster = repository.kind == "volume"
        yield Copy(
            kind="recovery-set",
            where=f"volume {repository.claim}" if in_cluster else repository.url,
            made=f"daily at {backups.at}",
            kept=", ".join(f"{count} {rule}" for rule, count in backups.keep.items() if count),
            proven=f"every {backups.drill_every}",
            caution="in the same cluster: lost together with it" if in_cluster else "",
        )
        if repository.sealed_copy:
            yield Copy(
                kind="sealed",
                where=repository.sealed_copy,
                made=f"every {backups.sealed_every}",
                kept=_lock(repository.sealed_copy, program),
            )
    if "rebuild" in store.backup.ways:
        yield Copy(kind="rebuild", where="made again from other data", made="on demand", kept="as long as its source")


def _lock(address: str, program: Program) -> str:
    words = set(re.split("[:/]+", address))
    for resource in program.resources:
        days = facts.at(resource.inputs, "rule.defaultRetention.days")
        seconds = facts.at(resource.inputs, "retentionPolicy.retentionPeriod")
        if words & {resource.inputs.get("name"), resource.inputs.get("bucket")} and (days or seconds):
            return f"locked for {days or int(seconds) // 86400} days"
    return "locked"


def _components(program: Program, tier: TierDocument) -> Iterator[PlannedComponent]:
    prefixes = {f"{name}-g{store.generation}": name for name, store in tier.stores.items()}
    parts: dict[str | None, list[Registration]] = {}
    for resource in program.resources:
        parts.setdefault(resource.parent, []).append(resource)
    for component in (resource for resource in program.resources if resource.component and resource.parent is None):
        store = next((name for prefix, name in prefixes.items() if component.name == prefix or component.name.startswith(f"{prefix}-")), "")
        yield PlannedComponent(
            urn=component.urn,
            type=component.type,
            name=component.name,
            store=store,
            resources=tuple(_resource(inner) for inner in _below(component.urn, parts) if inner.custom),
        )


def _below(urn: str, parts: dict[str | None, list[Registration]]) -> Iterator[Registration]:
    for inner in parts.get(urn, ()):
        yield inner
        yield from _below(inner.urn, parts)


def _resource(resource: Registration) -> PlannedResource:
    return PlannedResource(
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        object=resource.id,
        protected=resource.protect,
        data=resource.type in facts.DATA,
        size=facts.size(resource),
        guards=facts.guards(resource),
    )
