"""Statements that PostgreSQL refuses in a transaction: how to tell whether one that was begun is done, and how to clean up if not."""

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate.sql import Statement, commands, dropped, relation

_INDEX = """
SELECT x.indisvalid AND x.indisready FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = %s
"""
_LEFT_BY_REINDEX = r"""
SELECT n.nspname, c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT x.indisvalid AND c.relname ~ '_cc(new|old)\d*$'
"""
_DETACHING = """
SELECT inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = %s
"""


def refuse_foreign(connection: Connection[TupleRow], statement: Statement) -> None:
    """Before a first start: an index of that name that somebody else made is never taken for ours, nor dropped. PereneError, exit 3."""
    if statement.kind == "IndexStmt" and _valid(connection, _index_name(statement)) is not None:
        raise PereneError(
            f"there is already an index {_index_name(statement)}, and no migration of this ledger began it",
            why="nobody can tell whether it is the same",
            fix="compare it with the script; drop it by hand or give the new one another name",
            exit_code=ExitCode.CANNOT_TELL,
        )


def finish(connection: Connection[TupleRow], statement: Statement) -> bool:
    """After a start whose end nobody saw: True when the work is done, False when it is cleaned up and must run again."""
    if statement.kind == "IndexStmt":
        name = _index_name(statement)
        valid = _valid(connection, name)
        if valid is False:
            _drop_index(connection, *name.split(".", 1))
        return valid is True
    if statement.kind == "DropStmt":
        return all(_valid(connection, name) is None for name in dropped(statement.body))
    if statement.kind == "ReindexStmt":
        for schema, name in connection.execute(_LEFT_BY_REINDEX.encode()).fetchall():
            _drop_index(connection, schema, name)
        return False
    if statement.kind == "AlterTableStmt":
        parent = relation(statement.body["relation"])
        part = relation(commands(statement.body)[0]["def"]["PartitionCmd"]["name"])
        row = connection.execute(_DETACHING, (part,)).fetchone()
        if row and row[0]:
            names = (sql.Identifier(*parent.split(".", 1)), sql.Identifier(*part.split(".", 1)))
            connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(*names))
            return True
        return row is None
    return False  # VACUUM can run any number of times


def _index_name(statement: Statement) -> str:
    schema, _, _ = relation(statement.body["relation"]).partition(".")
    return f"{schema}.{statement.body['idxname']}"


def _valid(connection: Connection[TupleRow], name: str) -> bool | None:
    row = connection.execute(_INDEX, (name,)).fetchone()
    return None if row is None else bool(row[0])


def _drop_index(connection: Connection[TupleRow], schema: str, name: str) -> None:
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name)))
