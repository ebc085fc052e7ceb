"""Cross-checks between stores: what is compared after every restore. Rules: rules_cross_checks.py."""

from typing import Annotated, Literal

from pydantic import Field

from infra.config.base import Section
from infra.config.types import CollectionName, Column, DatabaseName, Directory, PayloadField, StoreName, TableName


class Rows(Section):
    """The column whose values name things in the other store."""

    store: StoreName = Field(description="a store of databases")
    database: DatabaseName = Field(description="one of its databases")
    table: TableName = Field(description="table, with its schema where that is not public")
    column: Column = Field(description="its column; NULL names nothing")


class PointsCheck(Section):
    """Points of a collection."""

    kind: Literal["points"]
    store: StoreName = Field(description="a store of kind qdrant")
    collection: CollectionName = Field(description="one of its collections or aliases")
    field: PayloadField | None = Field(default=None, description="field of the payload; left out: the point's id")


class FilesCheck(Section):
    """Files of a volume."""

    kind: Literal["files"]
    store: StoreName = Field(description="a store of kind files")
    below: Directory | None = Field(default=None, description="directory that the paths are relative to; left out: the volume's root")


class CrossCheck(Section):
    """Rows against points or files. Both ways: what a row names is there, and what is there is named."""

    rows: Rows = Field(description="what refers")
    against: Annotated[PointsCheck | FilesCheck, Field(discriminator="kind")] = Field(description="what it refers to")
    orphans: int = Field(
        default=0, ge=0, description="points or files that no row names and that are no fault: they are copied after the rows"
    )
