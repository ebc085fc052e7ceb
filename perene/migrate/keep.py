"""Before a revert takes a column or a table away, what was written there meanwhile is copied, in the same transaction."""

from datetime import UTC, datetime

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from perene.migrate.scripts import Migration
from perene.migrate.sql import commands, dropped, relation

_KEY = """
SELECT a.attname FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
WHERE x.indrelid = to_regclass(%s) AND x.indisprimary
"""


def keep(connection: Connection[TupleRow], migration: Migration) -> list[str]:
    """Copy what the down script drops into tables of the schema perene. Returns a line per copy: `perene.kept_... : 12 rows`.

    The table is locked before it is copied, so that no later write is missed; an empty copy is not kept.
    """
    lines = []
    for statement in migration.down.statements:
        if statement.kind == "AlterTableStmt":
            columns = [command["name"] for command in commands(statement.body) if command["subtype"] == "AT_DropColumn"]
            if columns:
                lines += _copy(connection, migration, relation(statement.body["relation"]), columns)
        elif statement.kind == "DropStmt" and statement.body["removeType"] == "OBJECT_TABLE":
            for table in dropped(statement.body):
                lines += _copy(connection, migration, table, [])
    return lines


def _copy(connection: Connection[TupleRow], migration: Migration, table: str, columns: list[str]) -> list[str]:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (_quoted(table),)).fetchone()
    if not row or not row[0]:
        return []
    source = sql.Identifier(*table.split(".", 1))
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(source))
    key = [row[0] for row in connection.execute(_KEY, (_quoted(table),))]
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    target = sql.Identifier("perene", f"kept_{migration.version:03d}_{table.split('.', 1)[1]}"[:48] + f"_{stamp}")
    chosen = sql.SQL(", ").join(map(sql.Identifier, [*key, *columns])) if key and columns else sql.SQL("*")
    some = (
        sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(column)) for column in columns) if columns else sql.SQL("true")
    )
    copied = connection.execute(sql.SQL("CREATE TABLE {} AS SELECT {} FROM {} WHERE {}").format(target, chosen, source, some)).rowcount
    if not copied:
        connection.execute(sql.SQL("DROP TABLE {}").format(target))
        return []
    return [f"{target.as_string(connection).replace(chr(34), '')}: {copied} rows of {table}{'.' + ', '.join(columns) if columns else ''}"]


def _quoted(table: str) -> str:
    schema, name = table.split(".", 1)
    return f'"{schema}"."{name}"'
