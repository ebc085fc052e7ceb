"""What a tier keeps in Redis, Qdrant, RabbitMQ and file volumes: from configuration to a component and its contract entry."""

from collections.abc import Mapping
from typing import Any

from infra import naming
from infra.components import sidecars
from infra.components.file_volume import FileVolume, FileVolumeArgs
from infra.components.qdrant import Qdrant
from infra.components.rabbitmq import RabbitMq, RabbitMqArgs
from infra.components.redis import Redis, RedisArgs
from infra.components.server import Server, ServerArgs
from infra.config import services as kinds
from infra.config.stores import Volume
from infra.tier import Context
from perene.contract.values import Size

# Qdrant knows two keys and no users.
QDRANT_KEYS = {"admin": "admin", "readonly": "read-only"}


def build(context: Context, name: str, store: kinds.Service | kinds.Files) -> dict[str, Any]:
    """Declare the store; returns its contract entry."""
    match store:
        case kinds.Redis():
            return _redis(context, name, store)
        case kinds.Qdrant():
            return _qdrant(context, name, store)
        case kinds.RabbitMq():
            return _rabbitmq(context, name, store)
        case kinds.Files():
            return _files(context, name, store)
    raise TypeError(f"{name} is of no kind that is known here")


def _redis(context: Context, name: str, store: kinds.Redis) -> dict[str, Any]:
    rights = {"admin": "admin", **store.users, sidecars.USER: "monitor"}
    server = Redis(
        naming.component(name, store.generation),
        RedisArgs(
            server=_server(context, name, store, version=str(store.version), volume=store.volume, rights=rights),
            mode=store.mode,
            max_memory=store.max_memory,
            policy=store.max_memory_policy,
            users=store.users,
        ),
        opts=context.options(),
    )
    entry = _entry(context, name, store, server, rights=rights, endpoint={"protocol": "redis", "port": server.port})
    return {**entry, "version": str(store.version), "mode": store.mode, "checks": _checks(store, "0")}


def _qdrant(context: Context, name: str, store: kinds.Qdrant) -> dict[str, Any]:
    args = _server(context, name, store, version=store.version, volume=store.volume, rights=QDRANT_KEYS)
    server = Qdrant(naming.component(name, store.generation), args, opts=context.options())
    return {
        **_entry(context, name, store, server, rights=QDRANT_KEYS, endpoint={"protocol": "http", "port": server.port}),
        "version": store.version,
        "collections": {collection: one.model_dump() for collection, one in store.collections.items()},
        "aliases": dict(store.aliases),
        "checks": _checks(store, ""),
    }


def _rabbitmq(context: Context, name: str, store: kinds.RabbitMq) -> dict[str, Any]:
    rights = {"admin": "admin", **store.users}
    vhosts = {vhost: one.queues for vhost, one in store.vhosts.items()}
    server = RabbitMq(
        naming.component(name, store.generation),
        RabbitMqArgs(
            server=_server(context, name, store, version=str(store.version), volume=store.volume, rights=rights),
            vhosts=vhosts,
            users=store.users,
        ),
        opts=context.options(),
    )
    endpoint = {"protocol": "amqp", "port": server.port, "management_port": server.management}
    return {
        **_entry(context, name, store, server, rights=rights, endpoint=endpoint),
        "version": str(store.version),
        "vhosts": {vhost: list(queues) for vhost, queues in vhosts.items()},
        "messages": store.messages,
        "checks": _checks(store, next(iter(vhosts))),
    }


def _files(context: Context, name: str, store: kinds.Files) -> dict[str, Any]:
    storage_class = store.storage_class or context.tier.cluster.storage_class
    volume = FileVolume(
        naming.component(name, store.generation),
        FileVolumeArgs(
            store=name,
            namespace=context.namespace,
            labels=context.labels,
            image=context.image("ops"),
            storage_class=storage_class,
            size=store.volume.size,
            shared=store.shared,
            directories=store.directories,
            uid=store.owner.uid,
            gid=store.owner.gid,
            mode=store.owner.mode,
            protect=_protect(context, name),
        ),
        opts=context.options(),
    )
    return {
        **_shared(context, store),
        "version": "",
        "volume": _volume(name, store.volume.size, volume.claim, storage_class),
        "owner": store.owner.model_dump(),
        "directories": list(store.directories),
        "free_space": store.free_space,
        "checks": _checks(store, ""),
    }


def _server(
    context: Context, name: str, store: kinds.Service, *, version: str, volume: Volume | None, rights: Mapping[str, str]
) -> ServerArgs:
    return ServerArgs(
        store=name,
        namespace=context.namespace,
        labels=context.labels,
        image=context.image(store.kind),
        version=version,
        storage_class=context.tier.cluster.storage_class,
        volume=volume.size if volume else None,
        cpu=store.resources.cpu,
        memory=store.resources.memory,
        logins=tuple(rights),
        protect=_protect(context, name),
        collector=context.collector,
    )


def _protect(context: Context, name: str) -> bool:
    return context.tier.guarded and not context.tier.is_open(name, "delete")


def _shared(context: Context, store: kinds.Service | kinds.Files) -> dict[str, Any]:
    goals = store.goals or context.tier.goals
    backed_up = store.backup == "required" and context.tier.backups is not None
    return {
        "kind": store.kind,
        "generation": store.generation,
        "backup": {"ways": ["logical"] if backed_up else []},
        "goals": {"rpo": str(goals.rpo), "rto": str(goals.rto)},
        "logins": {},
        "rights": {},
        "guarded": context.tier.guarded,
    }


def _entry(
    context: Context, name: str, store: kinds.Service, server: Server, *, rights: Mapping[str, str], endpoint: Mapping[str, Any]
) -> dict[str, Any]:
    workload = naming.component(name, store.generation)
    authority = context.kubernetes_secret(naming.tls_secret(workload), "ca.crt")
    claim, size = server.claim, server.args.volume
    return {
        **_shared(context, store),
        "endpoint": {"kind": "service", "host": server.host, "ca": authority, **endpoint},
        "workload": workload,
        "image": server.args.image,
        "volume": _volume(name, size, claim, server.args.storage_class) if claim and size else None,
        "logins": {
            user: {"user": user, "password": context.kubernetes_secret(naming.login_secret(workload, user), "password")} for user in rights
        },
        "rights": dict(rights),
    }


def _volume(name: str, size: Size, claim: str, storage_class: str) -> dict[str, str]:
    return {"claim": claim, "size": str(size), "storage_class": storage_class, "mount_path": naming.store_mount(name)}


def _checks(store: kinds.Service | kinds.Files, first: str) -> list[dict[str, Any]]:
    return [{"count": check.count, "at_least": check.at_least, "database": check.within or first} for check in store.checks]
