"""What a database is to a restore: it says so in its comment, which changes in one transaction with its name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from perene.errors import PereneError

ADMINISTRATION = "postgres"


@dataclass(frozen=True)
class Mark:
    """state: `restoring`, `complete`, `restored` (live), `replaced` or `returned` (set aside); text: the comment as it was before."""

    set_id: str
    state: str
    text: str = ""

    def __str__(self) -> str:
        return f"perene {self.set_id} {self.state}" + (f"\n{self.text}" if self.text else "")

    @classmethod
    def parse(cls, comment: str) -> "Mark":
        """A comment as a mark; one that is not ours has neither set nor state."""
        head, _, text = comment.partition("\n")
        words = head.split(" ")
        return cls(words[1], words[2], text) if len(words) == 3 and words[0] == "perene" else cls("", "", comment)


def marks(connection: psycopg.Connection[Any], databases: Sequence[str]) -> dict[str, Mark]:
    """What those of the databases that exist are to a restore."""
    query = "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = ANY(%s)"
    return {name: Mark.parse(text) for name, text in connection.execute(query, [list(databases)])}


def set_comment(connection: psycopg.Connection[Any], database: str, text: str) -> None:
    """Write a database's comment; an empty one removes it."""
    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(text or None)))


@contextmanager
def named(where: str) -> Iterator[None]:
    """A failure of PostgreSQL as an error that names its subject."""
    try:
        yield
    except psycopg.Error as failure:
        raise PereneError("the restore failed", where=where, why=str(failure).strip()) from None
