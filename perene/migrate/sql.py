"""SQL text into statements, by PostgreSQL's own parser (pglast): no statement is judged by its spelling."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pglast.parser import ParseError, parse_sql_json

# A node of the parser's tree in its JSON form: {"DropStmt": {...}}.
Node = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """One statement of a script: its number from 1, its text without comments before it, its kind (`DropStmt`), its tree."""

    number: int
    text: str
    kind: str
    body: Node

    @cached_property
    def concurrent(self) -> bool:
        """Whether PostgreSQL refuses it inside a transaction, but a later run can finish it."""
        if self.kind in {"IndexStmt", "DropStmt"}:
            return bool(self.body.get("concurrent"))
        if self.kind == "ReindexStmt":
            return "concurrently" in options(self.body, "params")
        if self.kind == "AlterTableStmt":
            return any(
                command.get("subtype") == "AT_DetachPartition" and command["def"]["PartitionCmd"].get("concurrent")
                for command in commands(self.body)
            )
        return self.kind == "VacuumStmt" and bool(self.body.get("is_vacuumcmd"))


def parse(text: str) -> tuple[Statement, ...]:
    """Split and parse a script. ValueError with PostgreSQL's own message when it is not SQL."""
    try:
        tree = json.loads(parse_sql_json(text))
    except ParseError as error:
        raise ValueError(str(error.args[0] if error.args else error)) from None
    raw, statements = text.encode(), []
    for number, item in enumerate(tree["stmts"], 1):
        start = item.get("stmt_location", 0)
        piece = raw[start : start + item["stmt_len"] if "stmt_len" in item else None].decode()
        ((kind, body),) = item["stmt"].items()
        statements.append(Statement(number, _without_leading_comments(piece), kind, body))
    return tuple(statements)


def _without_leading_comments(text: str) -> str:
    text = text.strip().rstrip(";").strip()
    while text.startswith(("--", "/*")):
        end, mark = ("\n", 1) if text.startswith("--") else ("*/", 2)
        text = text[text.index(end) + mark :].lstrip()
    return text


def walk(node: object) -> Iterator[tuple[str, Node]]:
    """Every (kind, body) below a node, wherever it hides: common table expressions, sub-queries, merge actions."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict) and key[:1].isupper():
                yield key, value
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def commands(body: Node) -> list[Node]:
    """The AlterTableCmd nodes of an ALTER TABLE."""
    return [command["AlterTableCmd"] for command in body.get("cmds", [])]


def options(body: Node, field: str = "options") -> dict[str, Any]:
    """The DefElem options of a statement by name; a bare option has the value None."""
    return {element["DefElem"]["defname"]: element["DefElem"].get("arg") for element in body.get(field, [])}


def relation(node: Node | None) -> str:
    """`schema.table` of a RangeVar; the schema defaults to public (the search path is set so by every migration)."""
    return f"{node.get('schemaname', 'public')}.{node['relname']}" if node else ""


def names(items: list[Node]) -> str:
    """A dotted name from String nodes, as types and functions have it, without pg_catalog."""
    parts = [item["String"]["sval"] for item in items]
    return ".".join(parts[1:] if parts[:1] == ["pg_catalog"] else parts)


def dropped(body: Node) -> list[str]:
    """The names that a DropStmt drops: `schema.name`, public by default; functions by their bare name."""
    found = []
    for item in body.get("objects", []):
        if "List" in item:
            parts = [part["String"]["sval"] for part in item["List"]["items"]]
        elif "String" in item:
            parts = [item["String"]["sval"]]
        else:
            parts = [part["String"]["sval"] for _, value in item.items() for part in value.get("objname", value.get("names", []))]
        found.append(".".join(parts if len(parts) > 1 else ["public", *parts]))
    return found
