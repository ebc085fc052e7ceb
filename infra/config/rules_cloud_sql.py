"""Rules about Cloud SQL: what a preview lets pass and the service, or the loss, would teach. Facts: docs/cursed-knowledge.md."""

import re
from collections.abc import Iterator
from datetime import date

from infra.config.model import Tier
from infra.config.rules_stores import pooled_connections
from infra.config.stores import CloudSql
from perene.errors import Problem

PLUS_MACHINES = {f"db-perf-optimized-N-{cpus}" for cpus in (2, 4, 8, 16, 32, 48, 64, 80, 96, 128)}
SHARED_CORE = {"db-f1-micro", "db-g1-small"}
# db-n1-standard-N (N vCPUs, 3.75 GB each) is refused by the service for PostgreSQL.
OLD_MACHINE = re.compile(r"db-n1-(standard|highmem)-(\d+)")
CUSTOM_MACHINE = re.compile(r"db-custom-(\d+)-(\d+)")
LOG_DAYS = {"enterprise": 7, "enterprise-plus": 35}
# Default connections by memory in GB: the largest bound that the memory reaches. Source: Cloud SQL flag documentation.
DEFAULT_CONNECTIONS = ((120, 1000), (60, 800), (30, 600), (15, 500), (7.5, 400), (3.75, 100), (1.7, 50), (0, 25))
WINDOW_MINUTES = 240  # an automated backup starts somewhere in the four hours after its time
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def cloud_sql_stores(tier: Tier) -> Iterator[tuple[str, CloudSql]]:
    for name, store in tier.stores.items():
        if store.kind == "cloud-sql":
            yield f"stores.{name}", store


def memory_gb(machine: str) -> float | None:
    """Memory of a machine in GB (1024 MiB), None when it is no known machine."""
    if machine in PLUS_MACHINES:
        cpus = int(machine.rpartition("-")[2])
        return 864.0 if cpus == 128 else cpus * 8.0
    if machine in SHARED_CORE:
        return {"db-f1-micro": 0.6, "db-g1-small": 1.7}[machine]
    custom = CUSTOM_MACHINE.fullmatch(machine)
    return int(custom[2]) / 1024 if custom else None


def max_connections(store: CloudSql) -> int:
    """Connections of the server: as configured, else the service's default for the machine's memory."""
    if store.max_connections is not None:
        return store.max_connections
    memory = memory_gb(store.machine) or 0
    return next(connections for bound, connections in DEFAULT_CONNECTIONS if memory >= bound)


def machine_belongs_to_the_edition(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        old = OLD_MACHINE.fullmatch(store.machine)
        if old:
            cpus = int(old[2])
            memory = cpus * (3840 if old[1] == "standard" else 6656)
            yield Problem(
                what=f"{store.machine} is no PostgreSQL machine",
                where=f"{where}.machine",
                why="the service refuses the old family for PostgreSQL, after the preview let it pass",
                fix=f"the equivalent is db-custom-{cpus}-{memory} (enterprise)",
            )
        elif store.edition == "enterprise-plus" and store.machine not in PLUS_MACHINES:
            yield Problem(
                what=f"{store.machine} is no machine of enterprise-plus",
                where=f"{where}.machine",
                why="the service refuses it, after the preview let it pass",
                fix="use one of db-perf-optimized-N-2, -4, -8, -16, -32, -48, -64, -80, -96, -128",
            )
        elif store.edition == "enterprise" and store.machine in PLUS_MACHINES:
            yield Problem(
                what=f"{store.machine} belongs to enterprise-plus",
                where=f"{where}.machine",
                why="the service refuses it in enterprise, after the preview let it pass",
                fix="use db-custom-VCPUS-MEMORY, like db-custom-2-7680, or edition enterprise-plus",
            )
        elif store.edition == "enterprise" and store.machine not in SHARED_CORE:
            yield from _custom_machine(where, store.machine)


def _custom_machine(where: str, machine: str) -> Iterator[Problem]:
    custom = CUSTOM_MACHINE.fullmatch(machine)
    if not custom:
        yield Problem(
            what=f"{machine} is no machine of enterprise",
            where=f"{where}.machine",
            why="the service refuses it, after the preview let it pass",
            fix="use db-custom-VCPUS-MEMORY in MiB, like db-custom-1-3840",
        )
        return
    cpus, memory = int(custom[1]), int(custom[2])
    faults = [
        (cpus != 1 and (cpus % 2 or not 2 <= cpus <= 96), f"{cpus} vCPUs: it must be 1, or an even number up to 96"),
        (memory % 256 != 0, f"{memory} MiB: it must be a multiple of 256"),
        (memory < 3840, f"{memory} MiB: 3840 is the least"),
        (memory < cpus * 0.9 * 1024, f"{memory} MiB: {cpus} vCPUs need at least 0.9 GB each"),
        (memory > cpus * 6.5 * 1024, f"{memory} MiB: {cpus} vCPUs take at most 6.5 GB each"),
    ]
    for wrong, what in faults:
        if wrong:
            yield Problem(
                what=f"{machine} cannot be: {what}",
                where=f"{where}.machine",
                why="the service refuses it, after the preview let it pass",
                fix=f"db-custom-{cpus if cpus == 1 else cpus + cpus % 2}-{max(3840, (cpus + cpus % 2) * 3840)} is valid",
            )


def shared_core_is_for_dev(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.machine in SHARED_CORE and tier.environment != "dev":
            yield Problem(
                what=f"{store.machine} is not for {tier.environment}",
                where=f"{where}.machine",
                why="a shared core has no service level agreement and stalls under load",
                fix="use db-custom-1-3840 or larger",
            )


def prod_stands_in_two_zones(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if tier.environment == "prod" and store.availability != "regional":
            yield Problem(
                what="prod must be regional",
                where=f"{where}.availability",
                why="when the only zone fails, the database is gone for as long as the zone is",
                fix="set availability to regional",
            )


def regional_has_pitr(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.availability == "regional" and store.pitr is None:
            yield Problem(
                what="regional needs pitr",
                where=f"{where}.pitr",
                why="the service makes a standby only with backups and point-in-time recovery on; the preview does not check it",
                fix="add pitr: {days: 7}",
            )


def prod_has_pitr(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if tier.environment == "prod" and store.availability == "zonal" and store.pitr is None:
            yield Problem(
                what="prod needs pitr",
                where=f"{where}.pitr",
                why="a wrong DELETE is found hours later; without it the whole day is lost",
                fix="add pitr: {days: 30} with edition enterprise-plus",
            )


def pitr_days_fit_the_edition(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.pitr and store.pitr.days > LOG_DAYS[store.edition]:
            yield Problem(
                what=f"{store.pitr.days} days of logs are more than {store.edition} keeps ({LOG_DAYS[store.edition]})",
                where=f"{where}.pitr.days",
                why="the service refuses it, after the preview let it pass",
                fix="use edition enterprise-plus, which keeps up to 35, or at most 7 days",
            )


def backups_cover_the_logs(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.pitr and store.backups.keep <= store.pitr.days:
            yield Problem(
                what=f"{store.backups.keep} backups do not cover {store.pitr.days} days of logs",
                where=f"{where}.backups.keep",
                why="recovery to the oldest moment needs a backup from before it",
                fix=f"keep at least {store.pitr.days + 1}",
            )


def guarded_tiers_keep_a_week(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if tier.guarded and store.backups.keep < 7:
            yield Problem(
                what=f"keeps {store.backups.keep} backups",
                where=f"{where}.backups.keep",
                why="a mistake on Friday is found on Monday, and a long weekend is longer",
                fix="keep at least 7",
            )


def zones_differ_and_lie_in_the_region(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        region = tier.clouds.gcp.region if tier.clouds.gcp else None
        if store.zone and store.zone == store.secondary_zone:
            yield Problem(
                what="both zones are the same",
                where=f"{where}.secondaryZone",
                why="a standby in the same zone fails with it",
                fix="name another zone",
            )
        if store.secondary_zone and store.availability == "zonal":
            yield Problem(
                what="a zonal instance has no second zone",
                where=f"{where}.secondaryZone",
                why="a setting that does nothing misleads",
                fix="remove it, or set availability to regional",
            )
        for field, zone in (("zone", store.zone), ("secondaryZone", store.secondary_zone)):
            if zone and region and not zone.startswith(region + "-"):
                yield Problem(
                    what=f"{zone} is not in {region}",
                    where=f"{where}.{field}",
                    why="the service refuses it, after the preview let it pass",
                    fix=f"name a zone like {region}-b",
                )


def disk_is_sized_for_the_service(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        for field, size in (("size", store.disk.size), ("limit", store.disk.limit)):
            if size.unit not in {"GB", "TB"}:
                yield Problem(
                    what=f"{size} is not counted in GB",
                    where=f"{where}.disk.{field}",
                    why="the service counts GB; a binary unit would be rounded in silence",
                    fix="write it in GB, like 100GB",
                )
        if store.disk.size.bytes < 10 * 10**9:
            yield Problem(
                what=f"{store.disk.size} is too small",
                where=f"{where}.disk.size",
                why="10GB is the least that the service offers",
                fix="10GB",
            )
        if store.disk.limit.bytes > 64 * 10**12:
            yield Problem(what=f"{store.disk.limit} is more than the service offers", where=f"{where}.disk.limit", fix="at most 64TB")
        if store.disk.limit.bytes < store.disk.size.bytes:
            yield Problem(
                what=f"the limit {store.disk.limit} lies below the size {store.disk.size}",
                where=f"{where}.disk.limit",
                why="the disk could not grow at all, and a full disk stops the database",
                fix="set the limit well above the size",
            )


def final_backup_is_kept(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        days = store.final_backup.seconds / 86400
        if days != int(days) or not 1 <= days <= 365:
            yield Problem(
                what=f"{store.final_backup} is no whole number of days from 1 to 365",
                where=f"{where}.finalBackup",
                why="the service counts days",
                fix="30d is usual",
            )
        elif tier.guarded and days < 7:
            yield Problem(
                what=f"the final backup lives {store.final_backup} only",
                where=f"{where}.finalBackup",
                why="whoever deletes the wrong instance on a Friday notices after the weekend",
                fix="keep it at least 7d",
            )


def maintenance_starts_on_the_hour(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.maintenance.at.utc_minutes % 60:
            yield Problem(
                what=f"{store.maintenance.at} is not on the hour in UTC",
                where=f"{where}.maintenance.at",
                why="the service takes whole hours of UTC",
                fix="choose a full hour",
            )


def backup_window_keeps_clear_of_maintenance(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        start, maintenance = store.backups.at.utc_minutes, store.maintenance.at.utc_minutes
        if (maintenance - start) % 1440 < WINDOW_MINUTES or (start - maintenance) % 1440 < 60:
            yield Problem(
                what=f"the maintenance at {store.maintenance.at} meets the backup window from {store.backups.at}",
                where=f"{where}.maintenance.at",
                why="a restart breaks off the backup that runs; the window is four hours long",
                fix="move one of them: four hours after the backup's start, or an hour before",
            )


def deny_period_is_a_period(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.deny_period is None:
            continue
        try:
            days = (date.fromisoformat(store.deny_period.end) - date.fromisoformat(store.deny_period.start)).days
        except ValueError:
            yield Problem(what="holds a day that no calendar has", where=f"{where}.denyPeriod", fix="correct the dates")
            continue
        if not 0 < days <= 90:
            yield Problem(
                what=f"lasts {days} days", where=f"{where}.denyPeriod", why="the service takes 1 to 90 days", fix="correct start or end"
            )


def pools_fit_the_connections(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        wanted, offered = pooled_connections(store), max_connections(store)
        if memory_gb(store.machine) and wanted > offered:
            yield Problem(
                what=f"the pools and the reserve open {wanted} connections, the server takes {offered}",
                where=f"{where}.pools",
                why="at the worst moment new connections are refused, backups and people included",
                fix=f"set maxConnections to {wanted} or more, a larger machine, or smaller pools",
            )


def connections_fit_the_memory(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        memory = memory_gb(store.machine)
        if store.max_connections and memory and store.max_connections > max(100, memory * 100):
            yield Problem(
                what=f"{store.max_connections} connections on {memory:g} GB",
                where=f"{where}.maxConnections",
                why="each connection is a process; the instance runs out of memory before it runs out of connections",
                fix=f"at most {int(max(100, memory * 100))} on this machine",
            )


def replica_stands_elsewhere(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if store.replica and tier.clouds.gcp and store.replica.region == tier.clouds.gcp.region:
            yield Problem(
                what="the replica stands in the instance's own region",
                where=f"{where}.replica.region",
                why="it is there for the loss of that region",
                fix="name another region",
            )


def instance_name_fits(tier: Tier) -> Iterator[Problem]:
    for where, store in cloud_sql_stores(tier):
        if not tier.clouds.gcp:
            continue
        name = f"{tier.clouds.gcp.project}:{tier.system}-{tier.environment}-{where.partition('.')[2]}-g{store.generation}"
        if len(name) > 98:
            yield Problem(
                what=f"project and instance name are {len(name)} characters long",
                where=where,
                why="the service takes 98 for both together",
                fix="shorten the store's or the system's name",
            )


def adopted_databases_are_declared(tier: Tier) -> Iterator[Problem]:
    """What is adopted must be declared: else the next preview would want to remove it."""
    for where, store in cloud_sql_stores(tier):
        for name in store.adopt.databases if store.adopt else ():
            if name not in store.databases:
                yield Problem(
                    what=f"{name} is no database of the store",
                    where=f"{where}.adopt.databases",
                    why="an adopted database that is not declared would be removed by the next change",
                    fix="declare it under `databases`, or leave it out here",
                )


RULES = (
    machine_belongs_to_the_edition,
    shared_core_is_for_dev,
    prod_stands_in_two_zones,
    regional_has_pitr,
    prod_has_pitr,
    pitr_days_fit_the_edition,
    backups_cover_the_logs,
    guarded_tiers_keep_a_week,
    zones_differ_and_lie_in_the_region,
    disk_is_sized_for_the_service,
    final_backup_is_kept,
    maintenance_starts_on_the_hour,
    backup_window_keeps_clear_of_maintenance,
    deny_period_is_a_period,
    pools_fit_the_connections,
    connections_fit_the_memory,
    replica_stands_elsewhere,
    instance_name_fits,
    adopted_databases_are_declared,
)
