"""The live catalogue: what a table weighs, which types its columns have, what may be changed by whom."""

from dataclasses import dataclass, field

from psycopg import Connection
from psycopg.rows import TupleRow

_RELATIONS = """
SELECT n.nspname || '.' || c.relname, c.relkind::text, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid),
       pg_has_role(c.relowner, 'USAGE'), coalesce(tn.nspname || '.' || t.relname, '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index x ON x.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = x.indrelid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'i', 'I', 'S', 'f') AND n.nspname !~ '^(pg_|information_schema$)'
"""
_COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^(pg_|information_schema$)'
"""
_VOLATILE = "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'"
_CHECKED_NOT_NULL = """
SELECT n.nspname || '.' || c.relname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.convalidated
"""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table, index or other relation. size: bytes with indexes and out-of-line values; table: of an index; mine: may be altered."""

    kind: str
    rows: int
    size: int
    mine: bool
    table: str = ""
    columns: dict[str, tuple[str, bool]] = field(default_factory=dict)
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Relations by `schema.name`, and the names of functions whose result may differ at every call."""

    relations: dict[str, Relation]
    volatile: frozenset[str]


def read(connection: Connection[TupleRow]) -> Catalogue:
    """Read the catalogue in four queries, whatever the number of tables."""
    columns: dict[str, dict[str, tuple[str, bool]]] = {}
    for name, column, kind, not_null in connection.execute(_COLUMNS):
        columns.setdefault(name, {})[column] = (kind, not_null)
    checks: dict[str, list[str]] = {}
    for name, definition in connection.execute(_CHECKED_NOT_NULL):
        checks.setdefault(name, []).append(definition)
    relations = {
        name: Relation(
            kind=kind,
            rows=rows,
            size=size,
            mine=mine,
            table=table,
            columns=columns.get(name, {}),
            checks=tuple(checks.get(name, ())),
        )
        for name, kind, rows, size, mine, table in connection.execute(_RELATIONS)
    }
    return Catalogue(relations=relations, volatile=frozenset(row[0] for row in connection.execute(_VOLATILE)))
