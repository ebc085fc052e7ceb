"""GCS as a place, over its JSON interface. Soft-deleted objects are restored, overwritten ones come back from their generation.

The token comes from the metadata server in the cluster, from gcloud on an operator's computer; an emulator needs none.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any

from perene.backup import process
from perene.backup.places import Exists
from perene.errors import PereneError
from perene.exit_codes import ExitCode

METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
SECONDS = 60
DAY = 86400


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
        with self._told(name):
            self._upload(name, source, {"ifGenerationMatch": "0"})

    def replace(self, name: str, data: bytes) -> None:
        """The generation before stays for as long as the bucket keeps it."""
        with self._told(name):
            self._upload(name, data, {})

    def read(self, name: str) -> bytes | None:
        """The live generation."""
        with self._told(name):
            try:
                with self._open("GET", self._object(name, alt="media")) as answer:
                    content: bytes = answer.read()
                    return content
            except urllib.error.HTTPError as refused:
                if refused.code != 404:
                    raise
        return None

    def delete(self, name: str) -> None:
        """Soft-deleted where the bucket has a policy for it."""
        with self._told(name):
            try:
                self._open("DELETE", self._object(name)).close()
            except urllib.error.HTTPError as refused:
                if refused.code != 404:
                    raise

    def names(self, prefix: str) -> list[str]:
        """Live objects."""
        with self._told(prefix):
            return sorted(item["name"].removeprefix(self._prefix) for item in self._list(prefix))

    def fetch(self, name: str, target: IO[bytes]) -> None:
        """Streamed."""
        with self._told(name), self._open("GET", self._object(name, alt="media")) as answer:
            while chunk := answer.read(1 << 20):
                target.write(chunk)

    def rewind(self, to: datetime) -> list[str]:
        """Restore what lived then and was deleted or overwritten since: from soft deletion, or from its generation. Newer objects stay."""
        with self._told(""):
            return self._rewound(to)

    def _rewound(self, to: datetime) -> list[str]:
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
                self._rewrite(f"{base}/rewriteTo/b/{self._bucket}/o/{quoted}?sourceGeneration={item['generation']}")
            brought.append(name.removeprefix(self._prefix))
        return sorted(brought)

    def promises(self) -> tuple[int, int]:
        """Days for which the bucket brings back what was deleted, and days of a lock that nobody can take off (0: none)."""
        with self._open("GET", f"{self._base}/storage/v1/b/{self._bucket}") as answer:
            bucket = json.load(answer)
        lock = bucket.get("retentionPolicy", {})
        locked = int(lock.get("retentionPeriod", 0)) if lock.get("isLocked") else 0
        return int(bucket.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0)) // DAY, locked // DAY

    def _rewrite(self, url: str) -> None:
        """Copied within the service; a large object takes several calls."""
        token = ""
        while True:
            with self._open("POST", url + token, b"{}") as answer:
                body = json.load(answer)
            if body.get("done"):
                return
            token = f"&rewriteToken={urllib.parse.quote(body['rewriteToken'], safe='')}"

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

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Exists, or a PereneError (exit 3) with the service's own words, instead of the library's exceptions."""
        where = f"gs://{self._bucket}/{self._prefix}{name}"
        try:
            yield
        except urllib.error.HTTPError as refused:
            if refused.code == 412:
                raise Exists(name) from None
            why = refused.read(300).decode(errors="replace")
            raise PereneError(f"GCS answered {refused.code}", where=where, why=why, exit_code=ExitCode.CANNOT_TELL) from None
        except OSError as failed:
            raise PereneError("GCS cannot be reached", where=where, why=str(failed), exit_code=ExitCode.CANNOT_TELL) from None


def _token() -> str:
    try:
        request = urllib.request.Request(METADATA, headers={"Metadata-Flavor": "Google"})
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - a fixed address
            return str(json.load(answer)["access_token"])
    except OSError:
        return process.run(["gcloud", "auth", "print-access-token"], what="asking gcloud for a token").decode().strip()
