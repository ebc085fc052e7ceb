"""What each statement of a migration does: SAFE, LOCKS, REWRITES or LOSES-DATA. A statement no rule knows is never called safe."""

import re
from collections.abc import Callable, Iterable

from perene.contract.migration import IMPACTS, Finding, Impact
from perene.migrate import sql
from perene.migrate.alter import alter_table
from perene.migrate.effects import ROW_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Effects
from perene.migrate.sql import Node, Statement

_HARMLESS = {
    "ViewStmt", "CreateFunctionStmt", "CreateSeqStmt", "CreateSchemaStmt", "CreateEnumStmt", "CompositeTypeStmt", "CreateDomainStmt",
    "CreateExtensionStmt", "CommentStmt", "GrantStmt", "AlterDefaultPrivilegesStmt", "CreateRangeStmt", "AlterEnumStmt", "CreateStatsStmt",
    "CreatePolicyStmt", "DefineStmt", "AlterOwnerStmt", "AlterFunctionStmt", "VariableShowStmt", "ExplainStmt",
    "ConstraintsSetStmt", "CreateCastStmt", "AlterExtensionStmt",
}  # fmt: skip
_CHANGES_ROWS = {"DeleteStmt", "UpdateStmt", "InsertStmt", "MergeStmt"}
_LOSING_DROPS = {
    "OBJECT_TABLE": "every row of it", "OBJECT_SCHEMA": "everything in it", "OBJECT_SEQUENCE": "its position",
    "OBJECT_FOREIGN_TABLE": "the way to its rows",
    "OBJECT_TYPE": "columns of it", "OBJECT_EXTENSION": "what it made", "OBJECT_DOMAIN": "columns of it",
}  # fmt: skip
# Words in a body that pglast does not read (procedural code): any of them may lose data.
_OPAQUE = re.compile(r"\b(drop|truncate|delete|update|execute|alter|merge)\b", re.IGNORECASE)
_HARMLESS_CALLS = {"setval", "set_config", "nextval", "pg_sleep", "now", "clock_timestamp", "gen_random_uuid", "random"}


def worst(findings: Iterable[Finding]) -> Impact:
    """The most harmful of them; SAFE when there is none."""
    return IMPACTS[max((IMPACTS.index(finding.impact) for finding in findings), default=0)]


def classify(statements: Iterable[Statement], effects: Effects) -> tuple[Finding, ...]:
    """Judge a script; `effects.new` grows by what it makes, so that later scripts of the same plan see it."""
    start = len(effects.findings)
    for statement in statements:
        effects.statement = statement.number
        if statement.kind in _HARMLESS:
            continue
        if rule := _RULES.get(statement.kind):
            rule(statement.body, effects)
        else:
            effects.brief("unknown-statement", f"{statement.kind}: no rule knows it", "", "unknown", impact="LOCKS")
        for kind, body in sql.walk(statement.body):  # what changes data inside a WITH
            if kind in _CHANGES_ROWS:
                _RULES[kind](body, effects)
    return tuple(effects.findings[start:])


def _create_table(body: Node, effects: Effects) -> None:
    table = sql.relation(body["relation"])
    if table in effects.catalogue.relations and body.get("if_not_exists"):
        return
    effects.new.add(table)
    for kind, constraint in sql.walk(body.get("tableElts", [])):
        if kind == "Constraint" and constraint["contype"] == "CONSTR_FOREIGN":
            other = sql.relation(constraint["pktable"])
            effects.brief("foreign-key", f"{other} is referenced: its writers wait for a moment", other, SHARE_ROW_EXCLUSIVE)
    for parent in body.get("inhRelations", []):
        parent_name = sql.relation(parent["RangeVar"])
        effects.brief("attach-partition", f"{parent_name} gets a child", parent_name)


def _create_as(body: Node, effects: Effects) -> None:
    effects.new.add(sql.relation(body["into"]["rel"]))


def _index(body: Node, effects: Effects) -> None:
    table, name = sql.relation(body["relation"]), body.get("idxname", "an unnamed index")
    if body.get("concurrent"):
        effects.brief("create-index-concurrently", f"{name} on {table} is built while others read and write", table, SHARE_UPDATE_EXCLUSIVE)
    else:
        effects.scan("create-index", f"{name} on {table}: nobody writes until it is built; CONCURRENTLY avoids that", table, SHARE)
    if body.get("unique"):
        effects.brief("unique-index", f"{table}: from now on a second equal value is refused", table, SHARE_UPDATE_EXCLUSIVE)


def _drop(body: Node, effects: Effects) -> None:
    kind, cascade = body["removeType"], body.get("behavior") == "DROP_CASCADE"
    for name in sql.dropped(body):
        if name in effects.new:
            continue
        what = kind.removeprefix("OBJECT_").lower().replace("_", " ")
        bare = name.removeprefix("public.") if kind in {"OBJECT_SCHEMA", "OBJECT_EXTENSION"} else name
        loses = _LOSING_DROPS.get(kind)
        if loses and not (kind in {"OBJECT_TYPE", "OBJECT_DOMAIN", "OBJECT_EXTENSION", "OBJECT_SCHEMA"} and not cascade):
            effects.loses(f"drop-{what.replace(' ', '-')}", f"{what} {bare} goes, with {loses}", name)
        elif cascade:
            effects.loses("drop-cascade", f"{what} {bare} goes, with everything that depends on it", name)
        elif kind == "OBJECT_INDEX":
            index = effects.known(name)
            concurrent = bool(body.get("concurrent"))
            table = index.table if index else name
            lock = SHARE_UPDATE_EXCLUSIVE if concurrent else "ACCESS EXCLUSIVE"
            effects.brief(
                "drop-index",
                f"index {bare} goes: queries that used it read the whole table",
                table,
                lock,
                impact="SAFE" if concurrent else "LOCKS",
            )
        else:
            effects.brief(f"drop-{what.replace(' ', '-')}", f"{what} {bare} goes", name, impact="LOCKS", contracts=True)


def _truncate(body: Node, effects: Effects) -> None:
    for item in body["relations"]:
        table = sql.relation(item["RangeVar"])
        effects.loses("truncate", f"every row of {table}", table, contracts=False)


def _always_true(where: Node | None) -> bool:
    return not where or bool(where.get("A_Const", {}).get("boolval", {}).get("boolval"))


def _delete(body: Node, effects: Effects) -> None:
    table = sql.relation(body["relation"])
    if _always_true(body.get("whereClause")):
        effects.loses("delete-without-where", f"every row of {table}", table, ROW_EXCLUSIVE, contracts=False)
    else:
        effects.loses("delete-rows", f"the rows of {table} that the condition meets", table, ROW_EXCLUSIVE, contracts=False)


def _update(body: Node, effects: Effects) -> None:
    table = sql.relation(body["relation"])
    old = [item["ResTarget"]["name"] for item in body["targetList"] if f"{table}.{item['ResTarget']['name']}" not in effects.new]
    if not old:
        effects.scan("backfill", f"{table}: rows are locked until the end of the script; large tables in batches", table, ROW_EXCLUSIVE)
    elif _always_true(body.get("whereClause")):
        effects.loses("update-without-where", f"the present values of {table}.{', '.join(old)}", table, ROW_EXCLUSIVE, contracts=False)
    else:
        effects.scan("update-rows", f"{table}.{', '.join(old)}: values are overwritten where the condition meets", table, ROW_EXCLUSIVE)


def _insert(body: Node, effects: Effects) -> None:
    table = sql.relation(body["relation"])
    conflict = body.get("onConflictClause", {})
    if conflict.get("action") == "ONCONFLICT_UPDATE":
        effects.brief("insert-overwrites", f"{table}: rows that are there already are overwritten", table, ROW_EXCLUSIVE, impact="LOCKS")


def _merge(body: Node, effects: Effects) -> None:
    table = sql.relation(body["relation"])
    actions = {clause["MergeWhenClause"].get("commandType") for clause in body.get("mergeWhenClauses", [])}
    if "CMD_DELETE" in actions:
        effects.loses("delete-rows", f"the rows of {table} that the merge deletes", table, ROW_EXCLUSIVE, contracts=False)
    if "CMD_UPDATE" in actions:
        effects.scan("update-rows", f"{table}: values are overwritten by the merge", table, ROW_EXCLUSIVE)


def _select(body: Node, effects: Effects) -> None:
    for kind, call in sql.walk(body):
        if kind != "FuncCall":
            continue
        name = sql.names(call["funcname"])
        if name.split(".")[-1] in effects.catalogue.volatile and name not in _HARMLESS_CALLS:
            effects.brief("calls-function", f"{name}() may change anything: no rule can read it", "", "unknown", impact="LOCKS")


def _do(body: Node, effects: Effects) -> None:
    code = " ".join(str(arg["DefElem"].get("arg", {}).get("String", {}).get("sval", "")) for arg in body["args"])
    if hit := _OPAQUE.search(code):
        effects.loses("opaque-code", f"a DO block with {hit[0].upper()}: what it does cannot be told before it runs", contracts=False)
    else:
        effects.brief("opaque-code", "a DO block: what it does cannot be told before it runs", "", "unknown", impact="LOCKS")


def _rename(body: Node, effects: Effects) -> None:
    kind, relation = body["renameType"], body.get("relation")
    table = sql.relation(relation) if relation else ""
    if kind in {"OBJECT_INDEX", "OBJECT_TABCONSTRAINT"}:
        effects.brief("rename", f"{table}: a new name", table)
    else:
        old = body.get("subname") or (relation or {}).get("relname", "")
        # Counted as contracting, not as a loss: the values stay, but whoever uses the old name fails.
        effects.brief(
            "rename",
            f"{old} is now {body.get('newname')}: a running version that uses the old name fails",
            table,
            impact="LOCKS",
            contracts=True,
        )
    if kind == "OBJECT_TABLE" and table in effects.new and relation:
        effects.new.add(f"{relation.get('schemaname', 'public')}.{body['newname']}")


def _move(body: Node, effects: Effects) -> None:
    table = sql.relation(body.get("relation")) if body.get("relation") else ""
    effects.brief(
        "set-schema",
        f"{table or 'an object'} moves to {body['newschema']}: who names its schema fails",
        table,
        impact="LOCKS",
        contracts=True,
    )


def _trigger(body: Node, effects: Effects) -> None:
    table = sql.relation(body["relation"])
    effects.brief("create-trigger", f"{table}: its writers wait for a moment", table, SHARE_ROW_EXCLUSIVE)


def _vacuum(body: Node, effects: Effects) -> None:
    full = "full" in sql.options(body)
    for item in body.get("rels", []):
        table = sql.relation(item["VacuumRelation"]["relation"])
        if full:
            effects.rewrite("vacuum-full", f"{table} is written anew", table)
        else:
            effects.brief("vacuum", f"{table}: beside readers and writers", table, SHARE_UPDATE_EXCLUSIVE)


def _reindex(body: Node, effects: Effects) -> None:
    name = sql.relation(body["relation"]) if "relation" in body else body.get("name", "")
    relation = effects.known(name)
    table = relation.table or name if relation else name
    if "concurrently" in sql.options(body, "params"):
        effects.brief("reindex-concurrently", f"{name} is built anew beside readers and writers", table, SHARE_UPDATE_EXCLUSIVE)
    else:
        effects.scan("reindex", f"{name} is built anew, nobody writes meanwhile; CONCURRENTLY avoids that", table, SHARE)


def _cluster(body: Node, effects: Effects) -> None:
    table = sql.relation(body.get("relation"))
    effects.rewrite("cluster", f"{table} is written anew", table)


def _sequence(body: Node, effects: Effects) -> None:
    name = sql.relation(body["sequence"])
    if "restart" in sql.options(body):
        effects.loses("sequence-restart", f"the position of {name}: numbers that were given out come again", name, contracts=False)
    else:
        effects.brief("alter-sequence", f"{name} is changed", name, SHARE_ROW_EXCLUSIVE, impact="LOCKS")


def _drop_owned(_: Node, effects: Effects) -> None:
    effects.loses("drop-owned", "everything that the role owns")


def _lock(body: Node, effects: Effects) -> None:
    for item in body["relations"]:
        table = sql.relation(item["RangeVar"])
        effects.brief("lock-table", f"{table} is locked until the end of the script", table, impact="LOCKS")


_RULES: dict[str, Callable[[Node, Effects], None]] = {
    "AlterTableStmt": alter_table,
    "CreateStmt": _create_table,
    "CreateTableAsStmt": _create_as,
    "IndexStmt": _index,
    "DropStmt": _drop,
    "TruncateStmt": _truncate,
    "DeleteStmt": _delete,
    "UpdateStmt": _update,
    "InsertStmt": _insert,
    "MergeStmt": _merge,
    "SelectStmt": _select,
    "DoStmt": _do,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _move,
    "CreateTrigStmt": _trigger,
    "VacuumStmt": _vacuum,
    "ReindexStmt": _reindex,
    "ClusterStmt": _cluster,
    "AlterSeqStmt": _sequence,
    "DropOwnedStmt": _drop_owned,
    "LockStmt": _lock,
}
