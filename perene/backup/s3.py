"""S3 as a place. Deleting leaves a marker and old versions stay, so that a rewind is copying back what was current at a time."""

import io
from datetime import datetime
from typing import IO, Any

import boto3
import botocore.exceptions

from perene.backup.places import Exists

PART = 32 << 20


class S3:
    """Objects below a prefix of a versioned bucket. The identity comes from boto3's own chain."""

    def __init__(self, *, endpoint: str, bucket: str, prefix: str) -> None:
        own = None if endpoint.endswith("amazonaws.com") else endpoint
        self._client: Any = boto3.client("s3", endpoint_url=own)
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def create(self, name: str, source: IO[bytes]) -> None:
        """One request where it fits, else parts; the last request fails when the name is taken."""
        first = _exactly(source, PART)
        where = {"Bucket": self._bucket, "Key": self._prefix + name}
        try:
            if len(first) < PART:
                self._client.put_object(**where, Body=first, IfNoneMatch="*")
                return
            upload = self._client.create_multipart_upload(**where)["UploadId"]
            try:
                parts: list[dict[str, Any]] = []
                chunk = first
                while chunk:
                    number = len(parts) + 1
                    answer = self._client.upload_part(**where, UploadId=upload, PartNumber=number, Body=chunk)
                    parts.append({"ETag": answer["ETag"], "PartNumber": number})
                    chunk = _exactly(source, PART)
                self._client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
            except BaseException:
                self._client.abort_multipart_upload(**where, UploadId=upload)
                raise
        except botocore.exceptions.ClientError as refused:
            if refused.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise Exists(name) from None
            raise

    def replace(self, name: str, data: bytes) -> None:
        """A plain write; the version before stays."""
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def read(self, name: str) -> bytes | None:
        """The current version."""
        out = io.BytesIO()
        try:
            self.fetch(name, out)
        except botocore.exceptions.ClientError as refused:
            if refused.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        return out.getvalue()

    def delete(self, name: str) -> None:
        """Leaves a marker."""
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def names(self, prefix: str) -> list[str]:
        """Current objects."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
        return sorted(item["Key"].removeprefix(self._prefix) for page in pages for item in page.get("Contents", []))

    def fetch(self, name: str, target: IO[bytes]) -> None:
        """Streamed."""
        body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        for chunk in body.iter_chunks(1 << 20):
            target.write(chunk)

    def rewind(self, to: datetime) -> list[str]:
        """Make current again what was current then: a deleted or overwritten object is copied from its version; newer objects stay.

        Nothing is deleted but markers' effect: a repository with more in it than then is whole; one with less is not.
        """
        brought = []
        for key, versions in self._history().items():
            past = [version for version in versions if version["LastModified"] <= to]
            then = max(past, key=lambda version: (version["LastModified"], not version["Marker"]), default=None)
            now = next(version for version in versions if version["IsLatest"])
            if then is None or then["Marker"] or now["VersionId"] == then["VersionId"] or key.startswith(f"{self._prefix}locks/"):
                continue
            if now["Marker"] or now["ETag"] != then["ETag"]:
                source = {"Bucket": self._bucket, "Key": key, "VersionId": then["VersionId"]}
                self._client.copy(source, self._bucket, key)
                brought.append(key.removeprefix(self._prefix))
        return sorted(brought)

    def _history(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for kind, marker in (("Versions", False), ("DeleteMarkers", True)):
                for version in page.get(kind, []):
                    found.setdefault(version["Key"], []).append({**version, "Marker": marker})
        return found


def _exactly(source: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes: less only at the end, also from a pipe."""
    chunks: list[bytes] = []
    missing = size
    while missing and (chunk := source.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
