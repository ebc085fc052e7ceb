"""A face collection in AWS Rekognition, indexed anew from sealed photos: what is there already is skipped, so a run may be repeated.

Errors by their documented names (Rekognition API reference, IndexFaces). A photo's id is its face's external id: the service itself keeps
one face for the same image under the same external id, and what `ListFaces` names is not sent again.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from psycopg import sql

from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.contract.tier import FacesRebuild
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.rebuild.sealed import Opener

# Bytes of an image that is sent with the call (larger ones only by way of a bucket).
LARGEST = 5 * 1024 * 1024
EXTERNAL = re.compile(r"[a-zA-Z0-9_.\-:]{1,255}")
# The key is wrong, rather than a photo damaged, when as many in a row do not open.
CLOSED_IN_A_ROW = 10
PASSING = frozenset(
    {"ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError", "ServiceUnavailable", "RequestTimeout"}
)
LASTING = frozenset({"ResourceNotFoundException", "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"})
WORDS = {
    "ImageTooLargeException": "the image is too large",
    "InvalidImageFormatException": "it is neither JPEG nor PNG",
    "InvalidParameterException": "the service does not accept it",
}
Photos = Callable[[], Iterator[tuple[str, bytes]]]


@dataclass
class Report:
    """rows: photos in the table; before: indexed already; added: indexed by this run; failed: id -> why; strangers: ids without a row."""

    rows: int
    before: int = 0
    added: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()

    def enough(self, at_least: float) -> bool:
        """Whether the wanted share of the rows is indexed, and nothing is that has no row."""
        return not self.strangers and self.before + self.added >= at_least * self.rows


def client(region: str) -> Any:
    """Rekognition, with botocore's own back-off: `adaptive` slows the whole client down when the service throttles it."""
    return boto3.client("rekognition", region_name=region, config=Config(retries={"mode": "adaptive", "max_attempts": 10}))


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection under its id. service: a Rekognition client; open_: how a photo is opened."""

    service: Any
    id: str
    open_: Opener
    stages: Stages

    def rebuild(self, photos: Photos, ids: Iterable[str]) -> Report:
        """Index every photo that is not in the collection, those that the service put off once more at the end, and compare.

        photos: a fresh walk over the table; ids: all of its ids. PereneError (exit 6) when the key opens none of them.
        """
        wanted = set(ids)
        self._ensure()
        there = self.indexed()
        report = Report(rows=len(wanted), before=len(there & wanted))
        again = self._walk(photos, there, report)
        if again:
            self.stages.note(f"{len(again)} photos that the service put off are tried once more")
            for name in again:
                report.failed.pop(name, None)
            self._walk(photos, (there | wanted) - again, report)
        found = self.indexed()
        report.strangers = tuple(sorted(found - wanted))
        report.failed |= dict.fromkeys(sorted(wanted - found - set(report.failed)), "the service took it and does not list it")
        report.added = len(found & wanted) - report.before
        return report

    def indexed(self) -> set[str]:
        """External ids of all faces."""
        pages = self.service.get_paginator("list_faces").paginate(CollectionId=self.id, PaginationConfig={"PageSize": 4096})
        try:
            return {face.get("ExternalImageId", f"(without external id) {face['FaceId']}") for page in pages for face in page["Faces"]}
        except ClientError as refused:
            raise self._refused(refused) from None

    def _walk(self, photos: Photos, skip: set[str], report: Report) -> set[str]:
        """One walk over the table; the ids that the service put off."""
        put_off: set[str] = set()
        closed = done = 0
        with self.stages.stage("index", self.id, report.rows, unit="photos") as progress:
            for name, sealed in photos():
                done += 1
                progress(done)
                if name in skip:
                    continue
                image = self.open_(name, sealed)
                closed = closed + 1 if image is None else 0
                if closed == CLOSED_IN_A_ROW:
                    raise self._wrong_key(name)
                why, passing = self._index(name, image)
                if why:
                    report.failed[name] = why
                if passing:
                    put_off.add(name)
        return put_off

    def _index(self, name: str, image: bytes | None) -> tuple[str, bool]:
        """Index one photo: why it failed (empty: it did not), and whether that passes."""
        if image is None:
            return "it does not open with the tier's key", False
        if not EXTERNAL.fullmatch(name):
            return "its id cannot be an external id (letters, digits, _ . - :)", False
        if len(image) > LARGEST:
            return f"the image is too large ({len(image) / 1e6:.1f} MB, {LARGEST / 1e6:.1f} at most)", False
        try:
            answer = self.service.index_faces(
                CollectionId=self.id, Image={"Bytes": image}, ExternalImageId=name, MaxFaces=1, QualityFilter="AUTO", DetectionAttributes=[]
            )
        except ClientError as refused:
            code = refused.response["Error"]["Code"]
            if code in LASTING:
                raise self._refused(refused) from None
            return WORDS.get(code, code), code in PASSING
        except BotoCoreError as broken:
            return type(broken).__name__, True
        if answer["FaceRecords"]:
            return "", False
        reasons = ", ".join(sorted({reason for face in answer.get("UnindexedFaces", []) for reason in face["Reasons"]}))
        return f"no face was indexed ({reasons or 'none was found'})", False

    def _ensure(self) -> None:
        try:
            self.service.create_collection(CollectionId=self.id)
        except ClientError as refused:
            if refused.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                raise self._refused(refused) from None

    def _refused(self, error: ClientError) -> PereneError:
        return PereneError(
            "Rekognition refused",
            where=f"collection {self.id}",
            why=error.response["Error"]["Code"],
            fix="the identity needs rekognition:CreateCollection, ListFaces and IndexFaces; then run the same command again: it goes on",
            exit_code=ExitCode.CANNOT_TELL,
        )

    def _wrong_key(self, name: str) -> PereneError:
        return PereneError(
            f"{CLOSED_IN_A_ROW} photos in a row do not open, the last one {name}",
            where=f"collection {self.id}",
            why="they were sealed with another key than the tier's, or with other associated data than their id",
            fix="see that key and set belong together (perene key check), then run the same command again",
            exit_code=ExitCode.NOT_PROVEN,
        )


def table(server: Server, settings: FacesRebuild) -> tuple[Photos, list[str]]:
    """A walk over the sealed photos, twenty at a time, and all ids."""
    column, photo, name = sql.Identifier(settings.id), sql.Identifier(settings.bytes), sql.Identifier(*settings.table.split("."))

    def walk() -> Iterator[tuple[str, bytes]]:
        with server.connect(settings.database) as connection, connection.cursor("perene_photos") as cursor:
            cursor.itersize = 20
            cursor.execute(sql.SQL("SELECT {0}::text, {1} FROM {2} WHERE {1} IS NOT NULL ORDER BY {0}").format(column, photo, name))
            for key, sealed in cursor:
                assert isinstance(sealed, bytes), "the column is a bytea"  # noqa: S101
                yield str(key), sealed

    with server.connect(settings.database) as connection:
        rows = connection.execute(sql.SQL("SELECT {0}::text FROM {2} WHERE {1} IS NOT NULL").format(column, photo, name)).fetchall()
    return walk, [str(row[0]) for row in rows]
