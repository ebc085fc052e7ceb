"""Create-only objects in an S3 bucket: the service itself refuses to overwrite (`If-None-Match: *`)."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from perene.audit.store import AlreadyExistsError
from perene.errors import PereneError
from perene.exit_codes import ExitCode


class S3Store:
    """Objects below a prefix of a bucket. client: boto3's, with the writer's identity (PutObject, GetObject and ListBucket suffice)."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self.client, self.bucket, self.prefix = client, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def names(self, prefix: str) -> list[str]:
        """Names below a prefix, sorted."""
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            return sorted(entry["Key"].removeprefix(self.prefix) for page in pages for entry in page.get("Contents", ()))
        except (BotoCoreError, ClientError) as failed:
            raise self._unreadable(prefix, failed) from None

    def read(self, name: str) -> bytes:
        """The content of an object."""
        try:
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        except (BotoCoreError, ClientError) as failed:
            raise self._unreadable(name, failed) from None
        return body

    def create(self, name: str, content: bytes) -> None:
        """Write a new object; AlreadyExistsError when the name is taken, by the service's own judgement."""
        try:
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content, IfNoneMatch="*")
        except ClientError as refused:
            if refused.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise AlreadyExistsError(name) from None
            raise self._unreadable(name, refused) from None
        except BotoCoreError as failed:
            raise self._unreadable(name, failed) from None

    def _unreadable(self, name: str, failed: Exception) -> PereneError:
        why = failed.response["Error"]["Code"] if isinstance(failed, ClientError) else type(failed).__name__
        return PereneError(f"the audit cannot be reached: {why}", where=f"s3://{self.bucket}/{name}", exit_code=ExitCode.CANNOT_TELL)
