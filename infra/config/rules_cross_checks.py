"""Rules about cross-checks: both sides exist, are of the right kind, and are part of the same recovery set."""

from collections.abc import Iterator

from infra.config.cross_checks import CrossCheck, PointsCheck
from infra.config.model import Tier
from infra.config.services import Files, Qdrant
from infra.config.stores import CloudSql, Postgres
from perene.errors import Problem


def cross_checks_name_what_is_there(tier: Tier) -> Iterator[Problem]:
    for name, check in tier.cross_checks.items():
        where = f"crossChecks.{name}"
        yield from _rows(tier, check, f"{where}.rows")
        yield from _against(tier, check, f"{where}.against")


def _rows(tier: Tier, check: CrossCheck, where: str) -> Iterator[Problem]:
    store = tier.stores.get(check.rows.store)
    if not isinstance(store, Postgres | CloudSql):
        yield _no_store(tier, check.rows.store, f"{where}.store", (Postgres, CloudSql), "a store of databases")
    elif check.rows.database not in store.databases:
        yield Problem(
            what=f"{check.rows.database} is no database of {check.rows.store}",
            where=f"{where}.database",
            why="the check could never be made",
            fix=f"name one of {', '.join(store.databases)}",
        )
    elif store.backup == "none":
        yield _left_out(check.rows.store, f"{where}.store")


def _against(tier: Tier, check: CrossCheck, where: str) -> Iterator[Problem]:
    against, store = check.against, tier.stores.get(check.against.store)
    if isinstance(against, PointsCheck):
        if not isinstance(store, Qdrant):
            yield _no_store(tier, against.store, f"{where}.store", (Qdrant,), "a store of points")
            return
        if against.collection not in {*store.collections, *store.aliases}:
            yield Problem(
                what=f"{against.collection} is no collection of {against.store}",
                where=f"{where}.collection",
                why="the check could never be made",
                fix=f"name one of {', '.join((*store.collections, *store.aliases))}",
            )
    elif not isinstance(store, Files):
        yield _no_store(tier, against.store, f"{where}.store", (Files,), "a store of files")
        return
    if store is not None and store.backup == "none":
        yield _left_out(against.store, f"{where}.store")


def _no_store(tier: Tier, name: str, where: str, kinds: tuple[type, ...], what: str) -> Problem:
    there = [other for other, store in tier.stores.items() if isinstance(store, kinds)]
    return Problem(
        what=f"{name} is not {what}",
        where=where,
        why="the check could never be made",
        fix=f"name one of {', '.join(there)}" if there else "add such a store, or remove the check",
    )


def _left_out(name: str, where: str) -> Problem:
    return Problem(
        what=f"{name} is in no recovery set",
        where=where,
        why="both sides must come from one set to be compared",
        fix=f"remove `backup: none` from stores.{name}, or remove the check",
    )


RULES = (cross_checks_name_what_is_there,)
