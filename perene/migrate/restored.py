"""A store's newest proven recovery set in a scratch server, for a rehearsal to change."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from perene.backup import sets
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.tier import login_with
from perene.contract.recovery_set import PostgresContent, RecoverySet
from perene.contract.tier import TierDocument
from perene.drill.scratch import scratch
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate.rehearse import Copy
from perene.restore import databases
from perene.restore.job import Job


@contextmanager
def newest_proven(
    tier: TierDocument, repository: Repository, *, store: str, database: str | None, work: Path, stages: Stages
) -> Iterator[Copy]:
    """Restore one database of a store, compare it, and lend it as its migrator. database: needed where the store has several.

    work: room for the dump and what it becomes. PereneError: exit 2 when there is no such store or database, 3 when no set is proven,
    6 when the set comes back other than it was.
    """
    name = _database(tier, store, database)
    proven = [one for one in sets.on_hand(repository.snapshots(), tier.proof_key) if one.proven]
    if not proven:
        raise PereneError(
            "no recovery set is proven",
            where=repository.url,
            why="a rehearsal on data that nobody has seen come back shows nothing",
            fix="perene backup, then perene drill",
            exit_code=ExitCode.CANNOT_TELL,
        )
    manifest = sets.load(repository, proven[-1].id)
    content = _content(manifest, store, name)
    held = manifest.stores[store]
    only = held.model_copy(update={"parts": tuple(part for part in held.parts if part.name == name)})
    begin = time.monotonic()
    with scratch(work) as server:
        job = Job(name=store, kept=only, live=tier.stores[store], set_id=manifest.id, repository=repository, work=work, stages=stages)
        result = databases.into(server, job, lambda original: original)
        if result.differences:
            raise PereneError(
                f"the proven set differs from what was dumped: {result.differences[0]}",
                where=f"{repository.url} {manifest.id}",
                why="nothing can be rehearsed on it",
                fix="perene drill; then read docs/repository-lost.md",
                exit_code=ExitCode.NOT_PROVEN,
            )
        migrator = login_with(tier.stores[store], store, "ddl").user
        yield Copy(
            database=make_conninfo(host=server.host, port=server.port, user=migrator, dbname=name),
            recovery_set=manifest.id,
            seconds=time.monotonic() - begin,
            known=content.databases[name].tables,
        )


def _database(tier: TierDocument, store: str, database: str | None) -> str:
    declared = tuple(tier.stores[store].databases) if store in tier.stores else ()
    chosen = declared if database is None else tuple(name for name in declared if name == database)
    if len(chosen) == 1:
        return chosen[0]
    has = ", ".join(declared) or f"no store {store}; its stores are {', '.join(tier.stores)}"
    raise PereneError(
        "it is not clear which database", where=store, why=f"{tier.stack} has {has}", fix="name one with --in", exit_code=ExitCode.USAGE
    )


def _content(manifest: RecoverySet, store: str, database: str) -> PostgresContent:
    held = manifest.stores.get(store)
    if held is None or not isinstance(held.content, PostgresContent) or database not in held.content.databases:
        raise PereneError(
            f"the newest proven set does not hold {store}/{database}",
            where=manifest.id,
            fix="perene backup, then perene drill",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return held.content
