"""What each form of ALTER TABLE does to the data and to those who use the table."""

import re
from collections.abc import Callable

from perene.migrate import sql
from perene.migrate.effects import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Effects
from perene.migrate.sql import Node

_SERIAL = {"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"}
# Spellings of the parser -> of format_type().
_TYPES = {
    "int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision", "bool": "boolean",
    "varchar": "character varying", "bpchar": "character", "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone", "timetz": "time with time zone", "time": "time without time zone", "varbit": "bit varying",
}  # fmt: skip
_WIDER = {
    ("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint"), ("smallint", "numeric"), ("integer", "numeric"),
    ("bigint", "numeric"), ("real", "double precision"), ("date", "timestamp without time zone"),
    ("json", "jsonb"), ("character", "text"), ("uuid", "text"), ("smallint", "text"), ("integer", "text"), ("bigint", "text"),
}  # fmt: skip
_BRIEF = {
    "AT_ColumnDefault", "AT_DropNotNull", "AT_SetStatistics", "AT_SetStorage", "AT_SetRelOptions", "AT_ResetRelOptions", "AT_SetOptions",
    "AT_ResetOptions", "AT_ReplicaIdentity", "AT_ChangeOwner", "AT_EnableTrig", "AT_EnableTrigAll", "AT_AddIdentity", "AT_SetIdentity",
    "AT_DropIdentity", "AT_DropExpression", "AT_SetCompression", "AT_EnableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity",
    "AT_DisableRowSecurity", "AT_ClusterOn", "AT_DropCluster",
}  # fmt: skip


def alter_table(body: Node, effects: Effects) -> None:
    """Judge every command of an ALTER TABLE (or of an ALTER INDEX, VIEW, SEQUENCE, which the parser gives the same shape)."""
    table = sql.relation(body["relation"])
    for command in sql.commands(body):
        kind = command["subtype"]
        if handler := _COMMANDS.get(kind):
            handler(command, table, effects)
        elif kind in _BRIEF:
            effects.brief("alter-table", f"{kind.removeprefix('AT_')} on {table}", table)
        else:
            effects.scan("alter-table-other", f"{kind.removeprefix('AT_')} on {table}: no rule knows it, so it counts as a scan", table)


def _constraints(definition: Node) -> dict[str, Node]:
    return {item["Constraint"]["contype"]: item["Constraint"] for item in definition.get("constraints", [])}


def _add_column(command: Node, table: str, effects: Effects) -> None:
    column = command["def"]["ColumnDef"]
    name, given = f"{table}.{column['colname']}", _constraints(column)
    kind = sql.names(column["typeName"]["names"])
    default = given.get("CONSTR_DEFAULT", {}).get("raw_expr")
    fills = bool(default) or "CONSTR_IDENTITY" in given or "CONSTR_GENERATED" in given or kind in _SERIAL
    if "CONSTR_NOTNULL" in given and not fills:
        effects.loses(
            "not-null-without-default",
            f"{name} is NOT NULL without a default: it fails on a table with rows, and every insert of the running version is lost",
            table,
        )
    if kind in _SERIAL or "CONSTR_IDENTITY" in given or "CONSTR_GENERATED" in given or _volatile(default, effects):
        effects.rewrite("add-column-computed", f"{name} gets a value of its own in every row", table)
    else:
        effects.brief("add-column", f"{name} is added: the catalogue changes, no row is touched", table)
    if {"CONSTR_UNIQUE", "CONSTR_PRIMARY"} & set(given):
        effects.scan("add-column-index", f"{name} brings an index that is built under the lock", table)
    if "CONSTR_CHECK" in given:
        effects.scan("add-column-check", f"{name} brings a check of every row under the lock", table)
    if "CONSTR_FOREIGN" in given:
        _foreign_key(given["CONSTR_FOREIGN"], table, effects, checked=bool(default))
    effects.new.add(name)


def _volatile(default: Node | None, effects: Effects) -> bool:
    calls = [body for kind, body in sql.walk(default) if kind == "FuncCall"]
    return any(sql.names(call["funcname"]).split(".")[-1] in effects.catalogue.volatile for call in calls)


def _foreign_key(constraint: Node, table: str, effects: Effects, *, checked: bool) -> None:
    other = sql.relation(constraint.get("pktable"))
    effects.brief("foreign-key", f"{other} is referenced: its writers wait while the constraint is made", other, SHARE_ROW_EXCLUSIVE)
    if checked:
        effects.scan(
            "foreign-key-checked",
            f"every row of {table} is checked under the lock: add it NOT VALID, validate later",
            table,
            SHARE_ROW_EXCLUSIVE,
        )


def _drop_column(command: Node, table: str, effects: Effects) -> None:
    if f"{table}.{command['name']}" not in effects.new:
        effects.loses("drop-column", f"{table}.{command['name']} and its values go away", table)


def _alter_type(command: Node, table: str, effects: Effects) -> None:
    column, target = command["name"], command["def"]["ColumnDef"]
    name, new = f"{table}.{column}", type_name(target["typeName"])
    relation = effects.known(table)
    old = relation.columns.get(column, ("", False))[0] if relation else ""
    if old and no_rewrite(old, new):
        effects.brief("widen-type", f"{name}: {old} to {new}, the catalogue changes, no row is touched", table)
    elif old and "raw_default" not in target and (base(old), base(new)) in _WIDER:
        effects.rewrite("rewrite-type", f"{name}: {old} to {new} writes every row anew", table)
    else:
        effects.rewrite("rewrite-type", f"{name}: {old or 'unknown type'} to {new} writes every row anew", table)
        why = "values that do not fit are cut or refused" if old else "its present type is not known"
        effects.loses("narrow-type", f"{name}: {old or '?'} to {new}: {why}", table)


def type_name(node: Node) -> str:
    """A parsed type as format_type() writes it: `character varying(20)`."""
    name = sql.names(node["names"])
    name = _TYPES.get(name, name)
    arguments = [str(item["A_Const"].get("ival", {}).get("ival", 0)) for item in node.get("typmods", []) if "A_Const" in item]
    text = name + (f"({','.join(arguments)})" if arguments else "")
    return text + "[]" * len(node.get("arrayBounds", []))


def base(kind: str) -> str:
    """A type without its length: `numeric(10,2)` -> `numeric`."""
    return re.sub(r"\(.*?\)", "", kind)


def no_rewrite(old: str, new: str) -> bool:
    """Whether PostgreSQL changes only the catalogue: the same type with more room."""
    if (
        old == new
        or (base(old) == "character varying" and new in {"text", "character varying"})
        or (old, new) == ("text", "character varying")
    ):
        return True
    if base(old) != base(new) or base(old) not in {"character varying", "numeric", "bit varying"}:
        return False
    before, after = (tuple(map(int, re.findall(r"\d+", kind))) for kind in (old, new))
    if not after:
        return True
    if base(old) == "numeric":
        # A changed scale rounds every value.
        return len(before) > 0 and after[0] >= before[0] and (before[1:] or (0,)) == (after[1:] or (0,))
    return len(before) > 0 and after >= before


def _set_not_null(command: Node, table: str, effects: Effects) -> None:
    column = command["name"]
    relation = effects.known(table)
    proven = relation and any(f"({column} IS NOT NULL)" in check for check in relation.checks)
    if proven:
        effects.brief("set-not-null", f"{table}.{column}: a validated check proves it, no row is read", table, contracts=True)
    else:
        effects.scan("set-not-null", f"{table}.{column}: every row is read under the lock; a validated CHECK before it avoids that", table)


def _add_constraint(command: Node, table: str, effects: Effects) -> None:
    constraint = command["def"]["Constraint"]
    kind, later = constraint["contype"], bool(constraint.get("skip_validation"))
    if kind == "CONSTR_FOREIGN":
        _foreign_key(constraint, table, effects, checked=not later)
    elif kind in {"CONSTR_UNIQUE", "CONSTR_PRIMARY"} and constraint.get("indexname"):
        effects.brief("constraint-using-index", f"{table}: the index is there already", table)
    elif kind in {"CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION"}:
        effects.scan("constraint-index", f"{table}: an index is built under the lock; build it CONCURRENTLY, then USING INDEX", table)
    elif later:
        effects.brief("constraint-not-valid", f"{table}: new rows are checked, old ones by VALIDATE CONSTRAINT later", table)
    else:
        effects.scan("constraint-checked", f"{table}: every row is checked under the lock; add it NOT VALID, validate later", table)


def _validate(command: Node, table: str, effects: Effects) -> None:
    effects.brief(
        "validate-constraint", f"{table}: {command['name']} is checked while others read and write", table, SHARE_UPDATE_EXCLUSIVE
    )


def _drop_constraint(command: Node, table: str, effects: Effects) -> None:
    effects.brief("drop-constraint", f"{table}: {command['name']} no longer holds", table, impact="LOCKS")


def _unlogged(_: Node, table: str, effects: Effects) -> None:
    effects.rewrite("set-unlogged", f"{table} is written anew", table)
    effects.loses("set-unlogged", f"{table} is empty after the next crash and on every replica", table, contracts=False)


def _disable_trigger(_: Node, table: str, effects: Effects) -> None:
    effects.brief("disable-trigger", f"{table}: what its triggers keep true is no longer kept", table, SHARE_ROW_EXCLUSIVE, impact="LOCKS")


def _rewrite(command: Node, table: str, effects: Effects) -> None:
    effects.rewrite("rewrite-table", f"{table} is written anew ({command['subtype'].removeprefix('AT_')})", table)


def _attach(command: Node, table: str, effects: Effects) -> None:
    part = sql.relation(command["def"]["PartitionCmd"]["name"])
    effects.scan("attach-partition", f"{part} is read unless a check proves its bounds", part)
    effects.brief("attach-partition", f"{table} gets a partition", table, SHARE_UPDATE_EXCLUSIVE)


def _detach(command: Node, table: str, effects: Effects) -> None:
    concurrent = bool(command["def"]["PartitionCmd"].get("concurrent"))
    lock = SHARE_UPDATE_EXCLUSIVE if concurrent else ACCESS_EXCLUSIVE
    effects.loses("detach-partition", f"{table} no longer shows the rows of its partition", table, lock)


_COMMANDS: dict[str, Callable[[Node, str, Effects], None]] = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_AlterColumnType": _alter_type,
    "AT_SetNotNull": _set_not_null,
    "AT_AddConstraint": _add_constraint,
    "AT_ValidateConstraint": _validate,
    "AT_DropConstraint": _drop_constraint,
    "AT_SetUnLogged": _unlogged,
    "AT_SetLogged": _rewrite,
    "AT_SetTableSpace": _rewrite,
    "AT_SetAccessMethod": _rewrite,
    "AT_DisableTrig": _disable_trigger,
    "AT_DisableTrigAll": _disable_trigger,
    "AT_DisableTrigUser": _disable_trigger,
    "AT_AttachPartition": _attach,
    "AT_DetachPartition": _detach,
    "AT_DetachPartitionFinalize": _detach,
}
