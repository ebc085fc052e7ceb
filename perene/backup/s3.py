"""S3 as a place. Deleting leaves a marker and old versions stay, so that a rewind is copying back what was current at a time."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from perene.backup.places import Exists
from perene.errors import PereneError
from perene.exit_codes import ExitCode

FOR_EVER = 36500
# How many parts of which size: an upload has at most 10,000, and a part is held in memory. Together 1.1 TB.
PARTS = ((2000, 32 << 20), (8000, 128 << 20))
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
ABSENT = {"NoSuchKey", "404"}


class S3:
    """Objects below a prefix of a versioned bucket. The identity comes from boto3's own chain."""

    def __init__(self, *, endpoint: str, bucket: str, prefix: str) -> None:
        # `s3.REGION.amazonaws.com`: boto3 signs for that region, whatever region the caller's configuration names.
        host = endpoint.rpartition("/")[2].split(".")
        amazon = host[-2:] == ["amazonaws", "com"]
        region = host[1] if amazon and len(host) == 4 else None
        # A session of its own: the default one keeps the first identity that it saw, and is not made for threads.
        self._client: Any = boto3.session.Session().client("s3", endpoint_url=None if amazon else endpoint, region_name=region)
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def create(self, name: str, source: IO[bytes]) -> None:
        """One request where it fits, else parts; the last request fails when the name is taken."""
        sizes = itertools.chain.from_iterable([size] * count for count, size in PARTS)
        where = {"Bucket": self._bucket, "Key": self._prefix + name}
        first = _exactly(source, next(sizes))
        with self._told(name):
            if len(first) < PARTS[0][1]:
                self._client.put_object(**where, Body=first, IfNoneMatch="*")
                return
            upload = self._client.create_multipart_upload(**where, ChecksumAlgorithm="CRC32")["UploadId"]
            try:
                parts = [self._part(where, upload, 1, first)]
                for number, size in enumerate(sizes, 2):
                    chunk = _exactly(source, size)
                    if not chunk:
                        break
                    parts.append(self._part(where, upload, number, chunk))
                else:
                    raise PereneError("it is larger than one object can be", where=self._where(name), exit_code=ExitCode.CANNOT_TELL)
                self._client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
            except BaseException:
                self._client.abort_multipart_upload(**where, UploadId=upload)
                raise

    def replace(self, name: str, data: bytes) -> None:
        """A plain write; the version before stays."""
        with self._told(name):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def read(self, name: str) -> bytes | None:
        """The current version."""
        with self._told(name):
            try:
                content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
            except ClientError as refused:
                if refused.response["Error"]["Code"] in ABSENT:
                    return None
                raise
            return content

    def delete(self, name: str) -> None:
        """Leaves a marker."""
        with self._told(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def names(self, prefix: str) -> list[str]:
        """Current objects."""
        with self._told(prefix):
            pages = list(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix))
        return sorted(item["Key"].removeprefix(self._prefix) for page in pages for item in page.get("Contents", []))

    def fetch(self, name: str, target: IO[bytes]) -> None:
        """Streamed."""
        with self._told(name):
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
            for chunk in body.iter_chunks(1 << 20):
                target.write(chunk)

    def rewind(self, to: datetime) -> list[str]:
        """Make current again what was current then: a deleted or overwritten object is copied from its version; newer objects stay.

        Nothing is deleted but markers' effect: a repository with more in it than then is whole; one with less is not.
        """
        with self._told(""):
            return self._rewound(to)

    def _rewound(self, to: datetime) -> list[str]:
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

    def promises(self) -> tuple[int, int]:
        """Days for which the bucket brings back what was deleted, and days of a lock that nobody can take off (0: none)."""
        return self._undelete_days(), self._locked_days()

    def _undelete_days(self) -> int:
        if self._client.get_bucket_versioning(Bucket=self._bucket).get("Status") != "Enabled":
            return 0
        rules = self._settings(self._client.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration").get("Rules", [])
        ends = [rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules if "NoncurrentVersionExpiration" in rule]
        return min((int(days) for days in ends), default=FOR_EVER)

    def _locked_days(self) -> int:
        found = self._settings(self._client.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError")
        default = found.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
        return int(default.get("Days", 0) or default.get("Years", 0) * 365) if default.get("Mode") == "COMPLIANCE" else 0

    def _settings(self, ask: Any, absent: str) -> dict[str, Any]:
        try:
            return dict(ask(Bucket=self._bucket))
        except ClientError as refused:
            if refused.response["Error"]["Code"] == absent:
                return {}
            raise

    def _history(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for kind, marker in (("Versions", False), ("DeleteMarkers", True)):
                for version in page.get(kind, []):
                    found.setdefault(version["Key"], []).append({**version, "Marker": marker})
        return found

    def _part(self, where: dict[str, Any], upload: str, number: int, chunk: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**where, UploadId=upload, PartNumber=number, Body=chunk, ChecksumAlgorithm="CRC32")
        return {"ETag": answer["ETag"], "PartNumber": number, "ChecksumCRC32": answer["ChecksumCRC32"]}

    def _where(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Exists, or a PereneError (exit 3) with the service's own code, instead of the client's exceptions."""
        try:
            yield
        except ClientError as refused:
            if refused.response["Error"]["Code"] in TAKEN:
                raise Exists(name) from None
            code, why = refused.response["Error"]["Code"], refused.response["Error"].get("Message", "")
            raise PereneError(f"S3 answered {code}", where=self._where(name), why=why, exit_code=ExitCode.CANNOT_TELL) from None
        except BotoCoreError as failed:
            raise PereneError("S3 cannot be reached", where=self._where(name), why=str(failed), exit_code=ExitCode.CANNOT_TELL) from None


def _exactly(source: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes: less only at the end, also from a pipe."""
    chunks: list[bytes] = []
    missing = size
    while missing and (chunk := source.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
