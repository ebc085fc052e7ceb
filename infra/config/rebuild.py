"""What has no backup of its own and is made anew from a store (`perene rebuild`)."""

from typing import Annotated, Literal

from pydantic import Field

from infra.config.base import Section
from infra.config.types import AwsRegion, DatabaseName, DurationText, StoreName

Identifier = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Word = Annotated[str, Field(min_length=1, max_length=500)]


class FacesSource(Section):
    """The sealed photos. Format: 12 bytes of nonce, then AES-256-GCM's output, the id's text as associated data (docs/rebuild.md)."""

    store: StoreName = Field(description="a PostgreSQL store of the tier")
    database: DatabaseName = Field(description="its database")
    table: str = Field(pattern=r"^[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,62}$", description="schema and table, like public.photo")
    id: Identifier = Field(description="column that names a photo for good; it becomes the external id of its face")
    bytes: Identifier = Field(description="column with the sealed photo")


class FacesRebuild(Section):
    """A face collection in AWS Rekognition: no service backs it up."""

    kind: Literal["rekognition"]
    region: AwsRegion = Field(description="region of the collection; photos are sent there")
    collection: str = Field(pattern=r"^[a-zA-Z0-9_.\-]{1,255}$", description="the collection's id")
    source: FacesSource = Field(description="where the photos are")
    at_least: float = Field(default=1.0, gt=0, le=1, description="share of the rows that must be indexed (some photos show no face)")


class CommandRebuild(Section):
    """A set-up command of the application that skips what exists, run from the project's directory."""

    kind: Literal["command"]
    command: tuple[Word, ...] = Field(min_length=1, max_length=50, description="the program and its arguments; no shell reads them")
    check: tuple[Word, ...] = Field(min_length=1, max_length=50, description="a program that ends with 0 when everything is there")
    limit: DurationText = Field(description="the longest that the command may take")
