"""The drill's proof of itself: a damaged canary is restored, and what notices the damage is named."""

import os
import time
from pathlib import Path

from perene.backup import process
from perene.backup.arriving import arrived
from perene.backup.postgres.server import Server
from perene.contract.drill import DamageResult
from perene.contract.recovery_set import PostgresContent, StoreSet
from perene.custody import sentinel
from perene.drill import canary
from perene.drill.damage import Damage, spoil, spoil_key
from perene.errors import PereneError
from perene.restore import filling, postgres


def prove(server: Server, dump: Path, expected: StoreSet, damage: Damage, set_id: str) -> DamageResult:
    """Restore a damaged canary on a scratch server. dump: a copy that may be spoilt; found_by: empty when nothing noticed it."""
    begin = time.monotonic()
    found = _key(damage) if damage.way == "key" else _database(server, dump, expected, damage, set_id)
    return DamageResult(kind=damage.kind, found_by=found, seconds=round(time.monotonic() - begin, 3))


def _key(damage: Damage) -> str:
    # A key of our own: the tier's key is used for the real sentinel only.
    key = os.urandom(32)
    used, sealed = spoil_key(key, sentinel.seal(key), damage.action)
    return "" if sentinel.opens(used, sealed) else "the sentinel does not open"


def _database(server: Server, dump: Path, expected: StoreSet, damage: Damage, set_id: str) -> str:
    content = expected.content
    if not isinstance(content, PostgresContent):
        raise PereneError("the canary is no PostgreSQL database")
    name, record = canary.DATABASE, content.records[canary.DATABASE]
    if damage.way == "file":
        with server.tools() as env:
            other = process.run(["pg_dump", "--format=custom", "--dbname=postgres"], env=env, what="dumping another database")
        spoil(dump, damage.action, other)
    postgres.ensure_roles(server, content.roles)
    try:
        postgres.create(server, name, record, set_id)
        with arrived(dump) as whole:
            filling.fill(server, whole, name, folder=dump.parent, timescale=None)
        postgres.finish(server, name, record, set_id)
    except PereneError as refused:
        return f"the restore failed: {refused.problems[0].why[:200]}"
    if damage.way == "sql":
        with server.connect(name, autocommit=True) as connection:
            connection.execute("SET search_path = public")
            connection.execute(damage.action.encode())
    elif damage.way == "admin":
        with server.connect("postgres", autocommit=True) as connection:
            connection.execute(damage.action.format(db=name).encode())
    differences = postgres.compared(server, name, name, content)
    return str(differences[0]) if differences else ""
