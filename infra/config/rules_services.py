"""Rules about Redis, Qdrant, RabbitMQ and file volumes."""

from collections.abc import Iterator
from typing import TypeVar

from infra.config.model import Tier
from infra.config.services import Files, Qdrant, RabbitMq, Redis
from perene.errors import Problem

Kind = TypeVar("Kind", Redis, Qdrant, RabbitMq, Files)
SUPPORTED = {"redis": 8, "rabbitmq": 4}
# Share of the container's memory that keys may take. A snapshot of a store forks: pages that change meanwhile are held twice.
SHARE_OF_MEMORY = {"store": 0.6, "cache": 0.8}


def _of(tier: Tier, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    for name, store in tier.stores.items():
        if isinstance(store, kind):
            yield f"stores.{name}", store


def services_have_the_tried_version(tier: Tier) -> Iterator[Problem]:
    for name, store in tier.stores.items():
        if isinstance(store, Redis | RabbitMq) and store.version != SUPPORTED[store.kind]:
            yield Problem(
                what=f"{store.kind} {store.version} is not supported",
                where=f"stores.{name}.version",
                why=f"images and jobs carry {store.kind} {SUPPORTED[store.kind]} only: another one may not read what was written",
                fix=f"set version to {SUPPORTED[store.kind]}",
            )


def images_are_named_for_what_runs(tier: Tier) -> Iterator[Problem]:
    images = tier.images
    if images is None:
        return
    named = {"redis": images.redis, "qdrant": images.qdrant, "rabbitmq": images.rabbitmq}
    for kind, image in named.items():
        users = [name for name, store in tier.stores.items() if store.kind == kind]
        if users and image is None:
            yield Problem(
                what=f"the image of {kind} is missing, but {', '.join(users)} runs it",
                where=f"images.{kind}",
                why="a cluster pulls from a registry, and a tag can change under you",
                fix=f"mirror it into your registry and write `{kind}: ...@sha256:...`",
            )


def redis_keeps_what_its_mode_promises(tier: Tier) -> Iterator[Problem]:
    for where, store in _of(tier, Redis):
        if store.mode == "store" and store.max_memory_policy != "noeviction":
            yield Problem(
                what=f"{store.max_memory_policy} drops keys of a store when memory is full",
                where=f"{where}.maxMemoryPolicy",
                why="acknowledged data would vanish without an error; with noeviction the writer is told",
                fix="set maxMemoryPolicy to noeviction, or mode to cache",
            )
        if store.mode == "cache" and store.max_memory_policy == "noeviction":
            yield Problem(
                what="a cache that evicts nothing refuses writes once it is full",
                where=f"{where}.maxMemoryPolicy",
                why="the application would fail for want of a cache",
                fix="set maxMemoryPolicy to allkeys-lru, or mode to store",
            )
        if store.mode == "store" and store.volume is None:
            yield Problem(
                what="a store has no volume",
                where=f"{where}.volume",
                why="everything in it would be gone with its pod",
                fix="add `volume: {size: ...}`, or set mode to cache",
            )
        if store.mode == "cache" and store.volume is not None:
            yield Problem(
                what="a cache has a volume",
                where=f"{where}.volume",
                why="nothing is written to it; what must survive a restart is a store",
                fix="remove volume, or set mode to store",
            )
        if store.mode == "cache" and store.backup != "none":
            yield Problem(
                what="a cache would be backed up",
                where=f"{where}.backup",
                why="what may be dropped at any time is no part of a recovery set; what must come back is a store",
                fix="add `backup: none`, or set mode to store",
            )


def redis_fits_into_its_memory(tier: Tier) -> Iterator[Problem]:
    for where, store in _of(tier, Redis):
        most = store.resources.memory.bytes * SHARE_OF_MEMORY[store.mode]
        if store.max_memory.bytes > most:
            yield Problem(
                what=f"{store.max_memory} of keys do not fit into {store.resources.memory}",
                where=f"{where}.maxMemory",
                why="a snapshot's fork, buffers and fragmentation need the rest, or the kernel kills the server in the middle of one",
                fix=f"set maxMemory to {int(most // 2**20)}MiB or less, or give more memory",
            )


def services_have_a_user_that_backs_up(tier: Tier) -> Iterator[Problem]:
    for name, store in tier.stores.items():
        if not isinstance(store, Redis | RabbitMq):
            continue
        dumping = [user for user, right in store.users.items() if right == "dump"]
        if not dumping and store.backup == "required" and tier.backups:
            yield Problem(
                what="no user may dump",
                where=f"stores.{name}.users",
                why="a recovery set is made by a user that can read everything and change nothing",
                fix="add `backup: dump`",
            )
        if len(dumping) > 1:
            yield Problem(
                what=f"{', '.join(dumping)} have the right dump",
                where=f"stores.{name}.users",
                why="jobs would not know which one to use, and one is enough",
                fix="keep one user with dump",
            )


def aliases_and_checks_name_what_is_declared(tier: Tier) -> Iterator[Problem]:
    for where, store in _of(tier, Qdrant):
        for alias, collection in store.aliases.items():
            if collection not in store.collections:
                yield Problem(
                    what=f"{collection} is no collection of this store",
                    where=f"{where}.aliases.{alias}",
                    why="the alias would be missing after every restore",
                    fix=f"name one of {', '.join(store.collections)}",
                )
            if alias in store.collections:
                yield Problem(
                    what="is a collection's own name",
                    where=f"{where}.aliases.{alias}",
                    why="Qdrant refuses an alias that hides a collection",
                    fix="choose another alias",
                )
        for index, check in enumerate(store.checks):
            if check.count not in {*store.collections, *store.aliases}:
                yield Problem(
                    what=f"{check.count} is no collection of this store",
                    where=f"{where}.checks.{index}.count",
                    why="the check would fail after every restore",
                    fix=f"name one of {', '.join(store.collections)}",
                )
    for where, rabbit in _of(tier, RabbitMq):
        for index, check in enumerate(rabbit.checks):
            if check.within and check.within not in rabbit.vhosts:
                yield Problem(
                    what=f"{check.within} is no virtual host of this store",
                    where=f"{where}.checks.{index}.within",
                    why="the check would fail after every restore",
                    fix=f"name one of {', '.join(rabbit.vhosts)}",
                )


def redis_databases_are_numbers(tier: Tier) -> Iterator[Problem]:
    for where, store in _of(tier, Redis):
        for index, check in enumerate(store.checks):
            if check.within and not (check.within.isdecimal() and int(check.within) < 16):
                yield Problem(
                    what=f"{check.within} is no database of Redis",
                    where=f"{where}.checks.{index}.within",
                    why="Redis has databases 0 to 15, without names",
                    fix="give a number from 0 to 15 in quotes, or leave it out",
                )


def files_can_be_read_by_jobs(tier: Tier) -> Iterator[Problem]:
    for where, store in _of(tier, Files):
        if int(store.owner.mode, 8) & 0o750 != 0o750:
            yield Problem(
                what=f"{store.owner.mode} keeps out the owner or the group",
                where=f"{where}.owner.mode",
                why="the application writes as the owner, and the backup reads through the group",
                fix='use "0770" or "0750"',
            )
        if int(store.owner.mode, 8) & 0o002:
            yield Problem(
                what=f"{store.owner.mode} lets everybody write",
                where=f"{where}.owner.mode",
                why="any process that sees the volume could change or delete what is in it",
                fix='use "0770" or "0750"',
            )
        if len(set(store.directories)) != len(store.directories):
            yield Problem(what="a directory stands twice", where=f"{where}.directories", fix="list each directory once")
        if not store.shared and tier.cluster.kind != "local":
            yield Problem(
                what="can be mounted on one node only",
                where=f"{where}.shared",
                why="the job that backs it up and the application may run on different nodes: one of them would wait for ever",
                fix="set shared to true, with a storage class that offers ReadWriteMany",
            )


RULES = (
    services_have_the_tried_version,
    images_are_named_for_what_runs,
    redis_keeps_what_its_mode_promises,
    redis_fits_into_its_memory,
    services_have_a_user_that_backs_up,
    aliases_and_checks_name_what_is_declared,
    redis_databases_are_numbers,
    files_can_be_read_by_jobs,
)
