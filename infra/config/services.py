"""The kinds of stores beside PostgreSQL: Redis, Qdrant, RabbitMQ, files. Rules between fields: rules_services.py."""

from typing import Literal

from pydantic import Field

from infra.config.base import Section
from infra.config.stores import AnyStore, Resources, Volume
from infra.config.types import (
    CollectionName,
    CountPattern,
    FileMode,
    Fraction,
    PathName,
    QueueName,
    RoleName,
    SizeText,
    StorageClassName,
    VirtualHost,
)

ServiceRight = Literal["read-write", "read-only", "dump"]
Eviction = Literal[
    "noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"
]


class Count(Section):
    """What must be true after every restore: at least so many of something are there."""

    count: CountPattern = Field(description="what is counted: keys by pattern, a collection, a queue, or files by pattern")
    at_least: int = Field(ge=0, description="how many must be there")
    within: str = Field(default="", description="database number of Redis, or virtual host of RabbitMQ, when not the first one")


class Service(AnyStore):
    """A server of its own on the cluster, reached over TLS."""

    kind: str
    resources: Resources = Field(description="what the container is given")
    checks: tuple[Count, ...] = Field(default=(), description="what must be true after every restore")


class Redis(Service):
    """Redis: as a store on a volume (snapshot each minute with a change, append-only file synced each second), or as a cache."""

    kind: Literal["redis"]
    version: int = Field(description="major version of Redis; 8 is supported from end to end")
    mode: Literal["cache", "store"] = Field(description="a cache keeps nothing and may drop keys; a store keeps every acknowledged write")
    max_memory: SizeText = Field(description="memory for keys and values; a snapshot needs the rest")
    max_memory_policy: Eviction = Field(description="what happens when memory is full: `noeviction` for a store, any other for a cache")
    volume: Volume | None = Field(default=None, description="the data's volume; a cache has none")
    users: dict[RoleName, ServiceRight] = Field(description="identities and their rights; admin is always there")


class Collection(Section):
    """One collection of vectors."""

    size: int = Field(ge=1, le=65_536, description="dimensions of its vectors")
    distance: Literal["Cosine", "Dot", "Euclid", "Manhattan"] = Field(description="how vectors are compared")


class Qdrant(Service):
    """Qdrant on a volume of the cluster. Its collections are the application's to make; perene checks them after a restore."""

    kind: Literal["qdrant"]
    version: Literal["1.18"] = Field(description="version of Qdrant; a snapshot opens in its own minor version or the next")
    volume: Volume = Field(description="the data's volume")
    collections: dict[CollectionName, Collection] = Field(min_length=1, description="collections that must be there")
    aliases: dict[CollectionName, CollectionName] = Field(default={}, description="alias -> collection; a snapshot brings none back")


class Queues(Section):
    """One virtual host of RabbitMQ."""

    queues: tuple[QueueName, ...] = Field(default=(), description="quorum queues that perene makes; the application may make others")


class RabbitMq(Service):
    """RabbitMQ on a volume of the cluster, one node whose name never changes."""

    kind: Literal["rabbitmq"]
    version: int = Field(description="major version of RabbitMQ; 4 is supported from end to end")
    volume: Volume = Field(description="the data's volume")
    vhosts: dict[VirtualHost, Queues] = Field(min_length=1, max_length=100, description="virtual hosts by name")
    users: dict[RoleName, ServiceRight] = Field(description="identities and their rights in every virtual host; admin is always there")
    messages: Literal["definitions", "stopped"] = Field(
        description="what a set holds: `definitions` alone, or messages too, for which the node is stopped while it is copied"
    )


class Owner(Section):
    """Who owns a file volume: the application's own user."""

    uid: int = Field(default=10_001, ge=1000, le=65_533, description="user of every file, never one of the system")
    gid: int = Field(default=10_001, ge=1000, le=65_533, description="group of every file; jobs read through it")
    mode: FileMode = Field(default="0770", description="mode of the directories that perene makes; the group must be able to read")


class Files(AnyStore):
    """A volume of files (media, models, logs), mounted by the application by its claim's name `data-<store>-g<generation>-0`."""

    kind: Literal["files"]
    volume: Volume = Field(description="the volume")
    shared: bool = Field(default=False, description="mounted on several nodes at once; needs a storage class that can (ReadWriteMany)")
    storage_class: StorageClassName | None = Field(default=None, description="class of this volume, where it differs from the cluster's")
    directories: tuple[PathName, ...] = Field(default=(), max_length=100, description="directories that are made at the root")
    owner: Owner = Field(default=Owner(), description="who owns what is in it")
    free_space: Fraction = Field(default=0.2, description="share that must stay free; less is warned of")
    checks: tuple[Count, ...] = Field(default=(), description="what must be true after every restore")
