"""GCS as a place, over its JSON interface. Soft-deleted objects are restored, overwritten ones come back from their generation.

The token comes from the metadata server in the cluster, from gcloud on an operator's computer; an emulator needs none.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from typing import IO, Any

from perene.backup import process
from perene.backup.places import Exists
from perene.errors import PereneError

METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
SECONDS = 60


class Gcs:
    """Objects below a prefix of a bucket."""

    def __init__(self, *, bucket: str, prefix: str) -> None:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
        self._base = (emulator if "://" in emulator else f"http://{emulator}") if emulator else "https://storage.googleapis.com"
        self._token = None if emulator else _token
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def create(self, name: str, source: IO[bytes]) -> None:
        """Sent as one stream; fails when the name is taken (generation 0 is asked for)."""
        try:
            self._upload(name, source, {"ifGenerationMatch": "0"})
        except urllib.error.HTTPError as refused:
            if refused.code == 412:
                raise Exists(name) from None
            raise self._failed(name, refused) from None

    def replace(self, name: str, data: bytes) -> None:
        """The generation before stays for as long as the bucket keeps it."""
        self._upload(name, data, {})

    def read(self, name: str) -> bytes | None:
        """The live generation."""
        try:
            with self._open("GET", self._object(name, alt="media")) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as refused:
            if refused.code == 404:
                return None
            raise self._failed(name, refused) from None

    def delete(self, name: str) -> None:
        """Soft-deleted where the bucket has a policy for it."""
        try:
            self._open("DELETE", self._object(name)).close()
        except urllib.error.HTTPError as refused:
            if refused.code != 404:
                raise self._failed(name, refused) from None

    def names(self, prefix: str) -> list[str]:
        """Live objects."""
        return sorted(item["name"].removeprefix(self._prefix) for item in self._list(prefix))

    def fetch(self, name: str, target: IO[bytes]) -> None:
        """Streamed."""
        with self._open("GET", self._object(name, alt="media")) as answer:
            while chunk := answer.read(1 << 20):
                target.write(chunk)

    def rewind(self, to: datetime) -> list[str]:
        """Restore what lived then and was deleted or overwritten since: from soft deletion, or from its generation. Newer objects stay."""
        live = {item["name"]: item for item in self._list("")}
        past: dict[str, dict[str, Any]] = {}
        for item in [*self._list("", softDeleted="true"), *self._list("", versions="true")]:
            gone = item.get("softDeleteTime") or item.get("timeDeleted")
            if datetime.fromisoformat(item["timeCreated"]) <= to and (gone is None or datetime.fromisoformat(gone) > to):
                past[item["name"]] = item
        brought = []
        for name, item in past.items():
            if name.startswith(f"{self._prefix}locks/") or live.get(name, {}).get("generation") == item["generation"]:
                continue
            if name in live and live[name].get("md5Hash") == item.get("md5Hash"):
                continue
            quoted = urllib.parse.quote(name, safe="")
            base = f"{self._base}/storage/v1/b/{self._bucket}/o/{quoted}"
            if "softDeleteTime" in item:
                self._open("POST", f"{base}/restore?generation={item['generation']}", b"{}").close()
            else:
                target = f"/rewriteTo/b/{self._bucket}/o/{quoted}?sourceGeneration={item['generation']}"
                self._open("POST", base + target, b"{}").close()
            brought.append(name.removeprefix(self._prefix))
        return sorted(brought)

    def _upload(self, name: str, source: IO[bytes] | bytes, conditions: dict[str, str]) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": self._prefix + name, **conditions})
        url = f"{self._base}/upload/storage/v1/b/{self._bucket}/o?{query}"
        self._open("POST", url, source, {"Content-Type": "application/octet-stream"}).close()

    def _list(self, prefix: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = ""
        while True:
            words = {"prefix": self._prefix + prefix, **query, **({"pageToken": page} if page else {})}
            with self._open("GET", f"{self._base}/storage/v1/b/{self._bucket}/o?{urllib.parse.urlencode(words)}") as answer:
                body = json.load(answer)
            found += body.get("items", [])
            page = body.get("nextPageToken", "")
            if not page:
                return found

    def _object(self, name: str, **query: str) -> str:
        quoted = urllib.parse.quote(self._prefix + name, safe="")
        return f"{self._base}/storage/v1/b/{self._bucket}/o/{quoted}?{urllib.parse.urlencode(query)}"

    def _open(self, method: str, url: str, data: IO[bytes] | bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        given = {"Content-Type": "application/json", **(headers or {})}
        if self._token:
            given["Authorization"] = f"Bearer {self._token()}"
        request = urllib.request.Request(url, data=data, method=method, headers=given)  # noqa: S310 - https, or the emulator's address
        return urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310 - as above

    def _failed(self, name: str, refused: urllib.error.HTTPError) -> PereneError:
        return PereneError(
            f"GCS answered {refused.code}",
            where=f"gs://{self._bucket}/{self._prefix}{name}",
            why=refused.read(300).decode(errors="replace"),
        )


def _token() -> str:
    try:
        request = urllib.request.Request(METADATA, headers={"Metadata-Flavor": "Google"})
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - a fixed address
            return str(json.load(answer)["access_token"])
    except OSError:
        return process.run(["gcloud", "auth", "print-access-token"], what="asking gcloud for a token").decode().strip()
