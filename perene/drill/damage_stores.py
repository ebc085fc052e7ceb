"""What can be wrong with a restored Redis, Qdrant or RabbitMQ: done on purpose to the drill's own copy, which must notice it.

Unlike PostgreSQL's canary these are done to the very content that was restored, after it was compared: the copy is thrown away. A kind
that needs something which an empty store does not have adds something instead.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from perene.backup.qdrant import Qdrant, path_of
from perene.backup.rabbitmq import Broker
from perene.backup.redis import ask
from perene.contract.drill import DamageResult, Difference
from perene.errors import PereneError

MARK = "perene:damage"


def prove(turn: int, kinds: Mapping[str, Any], act: Callable[[str], tuple[Difference, ...]]) -> DamageResult:
    """Do the kind whose turn it is. act: does it, and compares; found_by is empty when nothing noticed it."""
    kind, begin = list(kinds)[turn % len(kinds)], time.monotonic()
    try:
        differences = act(kind)
        found = str(differences[0]) if differences else ""
    except PereneError as refused:
        found = f"the restore failed: {refused.problems[0].what}. {refused.problems[0].why[:200]}"
    return DamageResult(kind=kind, found_by=found, seconds=round(time.monotonic() - begin, 3))


# -- a file, before it is restored: a snapshot of Redis or Qdrant, or definitions --------------------------------------------------------
def _change(how: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        file.write_bytes(how(file.read_bytes()))

    return spoil


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


FILES: Mapping[str, Callable[[Path], None]] = {
    "one byte changed in the copy": _change(_flipped),
    "a copy without its last bytes": _change(lambda content: content[:-9]),
    "an empty copy": _change(lambda _: b""),
}


# -- Redis -------------------------------------------------------------------------------------------------------------------------------
def _some_key(copy: redis.Redis) -> Any:
    """A key; where there is none, one is made."""
    for name in sorted(copy.info("keyspace")):
        ask(copy, "SELECT", name.removeprefix("db"))
        key = ask(copy, "RANDOMKEY")
        if key is not None:
            return key
    copy.set(MARK, "")
    return MARK


def _expiry(copy: redis.Redis) -> None:
    key = _some_key(copy)
    if not copy.persist(key):
        copy.expire(key, 10**6)


def _type(copy: redis.Redis) -> None:
    key = _some_key(copy)
    kind = copy.type(key)
    copy.delete(key)
    ask(copy, *(("SET", key, MARK) if kind != b"string" else ("SADD", key, MARK)))


REDIS: Mapping[str, Callable[[redis.Redis], object]] = {
    "a key lost": lambda copy: None if (key := _some_key(copy)) == MARK else copy.delete(key),
    "a key too many": lambda copy: copy.set(MARK, "1"),
    "a value changed": lambda copy: copy.set(_some_key(copy), MARK, keepttl=True),
    "a key of another type": _type,
    "a key under another name": lambda copy: copy.rename(_some_key(copy), MARK),
    "an expiry lost or too many": _expiry,
    "a key twice, in another database": lambda copy: ask(copy, "COPY", _some_key(copy), MARK, "DB", 9),
    "a library too many": lambda copy: copy.function_load("#!lua name=perene\nredis.register_function('p', function() return 1 end)"),
}


# -- Qdrant ------------------------------------------------------------------------------------------------------------------------------
def _some_point(server: Qdrant) -> tuple[str, dict[str, Any]] | None:
    for name in server.collections():
        for point in server.points(name):
            return path_of(name), point
    return None


def _collection_too_many(server: Qdrant) -> object:
    return server.ask("PUT", "/collections/perene-damage", json={"vectors": {"size": 2, "distance": "Dot"}})


def _of_a_point(do: Callable[[Qdrant, str, dict[str, Any]], object]) -> Callable[[Qdrant], object]:
    def act(server: Qdrant) -> object:
        found = _some_point(server)
        return do(server, *found) if found else _collection_too_many(server)

    return act


def _turned(vector: Any) -> Any:
    """Every number with the other sign, whatever the vector's form."""
    if isinstance(vector, dict):
        return {name: _turned(part) if name != "indices" else part for name, part in vector.items()}
    return [_turned(part) for part in vector] if isinstance(vector, list) else -vector - 0.5


def _alias_lost(server: Qdrant) -> object:
    for alias in server.aliases():
        return server.ask("POST", "/collections/aliases", json={"actions": [{"delete_alias": {"alias_name": alias}}]})
    return _collection_too_many(server)


def _collection_lost(server: Qdrant) -> object:
    for name in server.collections():
        return server.ask("DELETE", path_of(name))
    return _collection_too_many(server)


QDRANT: Mapping[str, Callable[[Qdrant], object]] = {
    "a point lost": _of_a_point(
        lambda server, path, point: server.ask("POST", f"{path}/points/delete?wait=true", json={"points": [point["id"]]})
    ),
    "a payload changed": _of_a_point(
        lambda server, path, point: server.ask(
            "PUT", f"{path}/points/payload?wait=true", json={"points": [point["id"]], "payload": {MARK: True}}
        )
    ),
    "a vector turned round": _of_a_point(
        lambda server, path, point: server.ask(
            "PUT", f"{path}/points/vectors?wait=true", json={"points": [{"id": point["id"], "vector": _turned(point["vector"])}]}
        )
    ),
    "an alias lost": _alias_lost,
    "a collection lost": _collection_lost,
    "a collection too many": _collection_too_many,
}


# -- RabbitMQ ----------------------------------------------------------------------------------------------------------------------------
def _one_less(section: str, path: str) -> Callable[[Broker], object]:
    """Remove the first entry of a section that is not the broker's own. path: of an entry, with its identity in braces."""

    def act(broker: Broker) -> object:
        for entry in broker.definitions()[section]:
            if broker.user not in entry.values():
                return broker.ask("DELETE", path.format(**{key: quote(str(value), safe="") for key, value in entry.items()}))
        return _vhost_too_many(broker)

    return act


def _vhost_too_many(broker: Broker) -> object:
    return broker.ask("PUT", "/api/vhosts/perene-damage")


def _tags_changed(broker: Broker) -> object:
    for user in broker.definitions()["users"]:
        if user["name"] != broker.user:
            words = {"password_hash": user["password_hash"], "hashing_algorithm": user["hashing_algorithm"], "tags": "policymaker"}
            return broker.ask("PUT", f"/api/users/{quote(user['name'], safe='')}", json=words)
    return _vhost_too_many(broker)


RABBITMQ: Mapping[str, Callable[[Broker], object]] = {
    "a user lost": _one_less("users", "/api/users/{name}"),
    "a user with other tags": _tags_changed,
    "a permission lost": _one_less("permissions", "/api/permissions/{vhost}/{user}"),
    "a policy lost": _one_less("policies", "/api/policies/{vhost}/{name}"),
    "a queue lost": _one_less("queues", "/api/queues/{vhost}/{name}"),
    "an exchange lost": _one_less("exchanges", "/api/exchanges/{vhost}/{name}"),
    "a virtual host lost": _one_less("vhosts", "/api/vhosts/{name}"),
    "a virtual host too many": _vhost_too_many,
}
