"""Cross-checks: values of a table's column that name things in another store, and must name nothing that is not there."""

from typing import Annotated, Literal

from pydantic import Field

from perene.contract.base import Value


class Rows(Value):
    """The column that refers. table: `schema.table`; a NULL names nothing."""

    store: str
    database: str
    table: str
    column: str


class Points(Value):
    """Points of a collection, by a field of their payload, or by their id where field is empty."""

    kind: Literal["points"] = "points"
    store: str
    collection: str
    field: str = ""


class Paths(Value):
    """Files by their path relative to `below`, a directory of the store; empty: its root."""

    kind: Literal["files"] = "files"
    store: str
    below: str = ""


class CrossCheck(Value):
    """One cross-check. orphans: how many points or files may be there that no row names: they are copied after the rows."""

    rows: Rows
    against: Annotated[Points | Paths, Field(discriminator="kind")]
    orphans: int = 0
