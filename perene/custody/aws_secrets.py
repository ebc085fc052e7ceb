"""AWS Secrets Manager as a vault."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from perene.custody.cloud_secrets import no_shell, refused
from perene.custody.material import Content
from perene.custody.needed import Needed


class AwsSecrets:
    """AWS Secrets Manager as the operator's own identity (boto3's credentials)."""

    def __init__(self, client: Callable[[str], Any] | None = None) -> None:
        self._client = client or _client

    def read(self, secrets: Iterable[Needed]) -> dict[str, Content]:
        """The current value of each; a shell without a value is not in the answer."""
        found = {}
        for secret in secrets:
            try:
                value = self._client(secret.ref.scope).get_secret_value(SecretId=secret.name)
            except ClientError as answer:
                if answer.response["Error"]["Code"] == "ResourceNotFoundException" or _in_deletion(answer):
                    continue
                raise refused(secret, answer.response["Error"]["Code"]) from None
            found[secret.name] = {secret.ref.key: value["SecretBinary"] if "SecretBinary" in value else value["SecretString"].encode()}
        return found

    def latest(self, secret: Needed) -> bytes:
        """The current value."""
        found = self.read([secret])
        if not found:
            raise no_shell(secret)
        return found[secret.name][secret.ref.key]

    def create(self, secret: Needed, content: Content) -> bool:
        """Write the first value.

        The request's token is made of the name, so that the service itself refuses a second first value that differs.
        """
        token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"perene:{secret.ref.scope}:{secret.name}"))
        client = self._client(secret.ref.scope)
        try:
            if client.describe_secret(SecretId=secret.name).get("VersionIdsToStages"):
                return False
            client.put_secret_value(SecretId=secret.name, SecretBinary=content[secret.ref.key], ClientRequestToken=token)
        except ClientError as answer:
            code = answer.response["Error"]["Code"]
            if code == "ResourceExistsException":
                return False
            raise (no_shell(secret) if code == "ResourceNotFoundException" else refused(secret, code)) from None
        return True

    def retire(self, secret: Needed) -> None:
        """Delete with thirty days in which `restore-secret` brings it back; only the break-glass role may."""
        try:
            self._client(secret.ref.scope).delete_secret(SecretId=secret.name, RecoveryWindowInDays=30)
        except ClientError as answer:
            code = answer.response["Error"]["Code"]
            if code != "ResourceNotFoundException" and not _in_deletion(answer):
                raise refused(secret, code) from None


def _in_deletion(answer: ClientError) -> bool:
    error = answer.response["Error"]
    return error["Code"] == "InvalidRequestException" and "marked" in error.get("Message", "")  # "marked for deletion", "marked deleted"


def _client(region: str) -> Any:
    return boto3.client("secretsmanager", region_name=region)
