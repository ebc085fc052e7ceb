"""Rules about every store, and about PostgreSQL stores of either kind."""

from collections.abc import Iterator

from infra.config.model import Store, Tier
from infra.config.services import Files
from infra.config.stores import CloudSql, Postgres
from perene.contract.values import Duration, Size
from perene.errors import Problem

SUPPORTED_MAJOR = 17
RESERVED_CONNECTIONS = 20  # jobs, exporter, migrations and somebody at three in the morning
# What a server of the kind needs to start and to work at all.
LEAST_MEMORY = {
    kind: Size.parse(least) for kind, least in {"postgres": "256MiB", "redis": "64MiB", "qdrant": "256MiB", "rabbitmq": "512MiB"}.items()
}
MIGRATION_MODE = {"dev": "automatic", "staging": "after-dev", "prod": "approved"}
# Environment: migration modes that are at least as careful.
CAREFUL_ENOUGH = {"dev": {"automatic", "after-dev", "approved"}, "staging": {"after-dev", "approved"}, "prod": {"approved"}}


def pooled_connections(store: Postgres | CloudSql) -> int:
    """Connections that the application's pools may open together, and those kept for everyone else."""
    return sum(pool.max_open * pool.replicas for pool in store.pools.values()) + RESERVED_CONNECTIONS


def postgres_stores(tier: Tier) -> Iterator[tuple[str, Postgres | CloudSql]]:
    """The tier's PostgreSQL stores of either kind, by name."""
    for name, store in tier.stores.items():
        if isinstance(store, Postgres | CloudSql):
            yield name, store


def version_is_the_tried_one(tier: Tier) -> Iterator[Problem]:
    for name, store in postgres_stores(tier):
        if store.version != SUPPORTED_MAJOR:
            yield Problem(
                what=f"PostgreSQL {store.version} is not supported",
                where=f"stores.{name}.version",
                why="the ops image has the client of 17 only: a dump or restore of another major would fail when it is needed",
                fix="set version to 17",
            )


def users_have_what_migrations_and_backups_need(tier: Tier) -> Iterator[Problem]:
    for name, store in postgres_stores(tier):
        rights = set(store.users.values())
        if "dump" not in rights and store.backup == "required" and tier.backups:
            yield Problem(
                what="no user may dump",
                where=f"stores.{name}.users",
                why="a recovery set is made by a user that can read everything and change nothing",
                fix="add `backup: dump`",
            )
        if store.migrations and "ddl" not in rights:
            yield Problem(
                what="migrations need a user with ddl",
                where=f"stores.{name}.users",
                why="the application's own user must not be able to change tables",
                fix="add `migrator: ddl`",
            )
        for right in ("ddl", "dump"):
            users = [user for user, given in store.users.items() if given == right]
            if len(users) > 1:
                yield Problem(
                    what=f"{', '.join(users)} have the right {right}",
                    where=f"stores.{name}.users",
                    why="jobs would not know which one to use, and one is enough",
                    fix=f"keep one user with {right}",
                )


def pools_are_consistent(tier: Tier) -> Iterator[Problem]:
    for name, store in postgres_stores(tier):
        for pool_name, pool in store.pools.items():
            if pool.max_idle > pool.max_open:
                yield Problem(
                    what=f"keeps {pool.max_idle} idle of at most {pool.max_open} connections",
                    where=f"stores.{name}.pools.{pool_name}.maxIdle",
                    why="more idle than open connections cannot be",
                    fix="lower maxIdle",
                )
            if pool.lifetime.seconds < 60:
                yield Problem(
                    what=f"renews connections every {pool.lifetime}",
                    where=f"stores.{name}.pools.{pool_name}.lifetime",
                    why="a TLS handshake and a new server process each time cost more than they give",
                    fix="use 1m or more; 1h is usual",
                )


def slow_queries_are_sensible(tier: Tier) -> Iterator[Problem]:
    for name, store in postgres_stores(tier):
        if not 100 <= store.slow_query.milliseconds <= 3_600_000:
            yield Problem(
                what=f"{store.slow_query} is outside 100ms to 1h",
                where=f"stores.{name}.slowQuery",
                why="below, the log holds every statement; above, nothing is ever slow",
                fix="use something like 5s",
            )


def migrations_are_as_careful_as_the_environment(tier: Tier) -> Iterator[Problem]:
    for name, store in postgres_stores(tier):
        if store.migrations and store.migrations.mode not in CAREFUL_ENOUGH[tier.environment]:
            yield Problem(
                what=f"{store.migrations.mode} migrations are not for {tier.environment}",
                where=f"stores.{name}.migrations.mode",
                why="a change of tables that nobody looked at could take data with it",
                fix=f"set mode to {MIGRATION_MODE[tier.environment]}",
            )


def checks_say_their_database(tier: Tier) -> Iterator[Problem]:
    for name, store in postgres_stores(tier):
        for index, check in enumerate(store.checks):
            if check.database is None and len(store.databases) > 1:
                yield Problem(
                    what="does not say in which database",
                    where=f"stores.{name}.checks.{index}.database",
                    why="the store has several databases",
                    fix=f"add one of {', '.join(store.databases)}",
                )
            if check.database is not None and check.database not in store.databases:
                yield Problem(
                    what=f"{check.database} is no database of this store",
                    where=f"stores.{name}.checks.{index}.database",
                    why="the check would fail after every restore",
                    fix=f"name one of {', '.join(store.databases)}",
                )


def retired_generations_are_older(tier: Tier) -> Iterator[Problem]:
    for name, store in tier.stores.items():
        for number in store.retired:
            if not number.isdecimal() or not 1 <= int(number) < store.generation:
                yield Problem(
                    what=f"{number} is no generation before {store.generation}",
                    where=f"stores.{name}.retired.{number}",
                    why="only what was replaced by a later generation can retire",
                    fix="list earlier generations by their number, in quotes",
                )


def goals_can_be_reached(tier: Tier) -> Iterator[Problem]:
    for name, store in tier.stores.items():
        goals = store.goals or tier.goals
        reachable, because = _recovery_point(tier, store)
        if reachable is not None and goals.rpo.seconds < reachable.seconds:
            yield Problem(
                what=f"a recovery point of {goals.rpo} cannot be kept: it is {reachable}",
                where=f"stores.{name}.goals.rpo" if store.goals else "goals.rpo",
                why=because,
                fix=f"set the goal to {reachable} or more for this store, or use Cloud SQL with pitr",
            )
        if goals.rto.seconds < 60:
            yield Problem(
                what=f"a recovery time of {goals.rto} is no promise that can be kept",
                where=f"stores.{name}.goals.rto" if store.goals else "goals.rto",
                why="a restore and its comparison take minutes at the least",
                fix="say what you can show in a drill, like 1h",
            )


def _recovery_point(tier: Tier, store: Store) -> tuple[Duration | None, str]:
    if store.kind == "cloud-sql" and store.pitr:
        return Duration(5, "m"), "point-in-time recovery loses up to five minutes when the instance is gone"
    if store.kind != "cloud-sql" and (tier.backups is None or store.backup == "none"):
        return None, ""
    return Duration(24, "h"), "without point-in-time recovery everything since the last daily backup is lost"


def only_dev_goes_without_backup(tier: Tier) -> Iterator[Problem]:
    for name, store in tier.stores.items():
        cache = store.kind == "redis" and store.mode == "cache"
        if store.backup == "none" and tier.guarded and not cache:
            yield Problem(
                what="a store of a guarded tier without backup",
                where=f"stores.{name}.backup",
                why="every byte has two ways back, or it will be lost",
                fix="remove `backup: none`",
            )


def volumes_and_memory_fit(tier: Tier) -> Iterator[Problem]:
    for name, store in tier.stores.items():
        volume = None if store.kind == "cloud-sql" else store.volume
        if volume and volume.size.bytes < Size.parse("1GiB").bytes:
            yield Problem(
                what=f"a volume of {volume.size} is too small",
                where=f"stores.{name}.volume.size",
                why="an empty server and its log take most of 1GiB, and no file system of that size grows well",
                fix="use 1GiB or more",
            )
        if volume and volume.size.bytes > Size.parse("64TiB").bytes:
            yield Problem(
                what=f"a volume of {volume.size} is more than any service offers",
                where=f"stores.{name}.volume.size",
                fix="use 64TiB or less",
            )
        if isinstance(store, CloudSql | Files):
            continue
        if store.resources.memory.bytes < LEAST_MEMORY[store.kind].bytes:
            yield Problem(
                what=f"{store.resources.memory} of memory is too little",
                where=f"stores.{name}.resources.memory",
                why="the server would be killed by its limit in the middle of work",
                fix=f"use {LEAST_MEMORY[store.kind]} or more",
            )
        if store.kind != "postgres":
            continue
        if store.resources.memory.unit.endswith("iB") and pooled_connections(store) * 2**20 * 4 > store.resources.memory.bytes:
            yield Problem(
                what=f"{pooled_connections(store)} connections do not fit into {store.resources.memory}",
                where=f"stores.{name}.resources.memory",
                why="each connection is a process of about 4 MiB; the server would be killed by its limit",
                fix="give more memory, or open fewer connections",
            )


RULES = (
    version_is_the_tried_one,
    users_have_what_migrations_and_backups_need,
    pools_are_consistent,
    slow_queries_are_sensible,
    migrations_are_as_careful_as_the_environment,
    checks_say_their_database,
    retired_generations_are_older,
    goals_can_be_reached,
    only_dev_goes_without_backup,
    volumes_and_memory_fit,
)
