"""A Qdrant by its REST interface: what it holds, the fingerprint of it, and what its words for "corrupted" mean.

Source: Qdrant's REST reference, 1.18.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from perene.backup.service import Service
from perene.contract.recovery_set import Count, ItemsContent
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# Bounds: an answer, a snapshot (made, sent or taken back), and one page of points.
ANSWER, LONG, PAGE = 30.0, 1800.0, 500
# What the server or its answers say, and what it means: the word "corrupted" is used for all of them.
MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("checksum mismatch", "the snapshot is not the one that was made", "take another set: without its checksum it would be accepted"),
    ("can't init wal", "another server has the storage open, or its log was cut off", "stop the other server; never delete the lock"),
    ("no space left", "the disk is full: writes are refused, reads go on", "grow the volume; nothing is lost yet"),
    ("permission denied", "the storage is read-only or has another owner", "mend mode and owner: a server starts on a writable one only"),
    ("read-only file system", "the storage is mounted read-only", "look at the node's log: it becomes so after errors of its disk"),
    (
        "snapshots_recovery_tmp",
        "a restore of all was broken off: a plain start is ready, and empty",
        "remove snapshots_recovery_tmp and restore again",
    ),
    ("file io error", "the file is no snapshot of a collection, or is cut off", "fetch it again and compare its checksum"),
    ("failed to restore snapshot", "the file is no snapshot of a collection, or is cut off", "fetch it again and compare its checksum"),
    ("newer than application", "a newer Qdrant made the snapshot", "delete the collection that it left, and restore into that version"),
    (
        "not compatible with current",
        "a much older Qdrant made the snapshot",
        "delete the collection that it left, and restore into that version",
    ),
    ("failed to restore local replica", "the collection is what a refused restore left: it has no points", "delete it and restore again"),
    ("panicked", "a file of a segment is missing or damaged", "restore the collection from a set: live files cannot be mended"),
    ("service internal error", "the server holds data that it cannot read", "restore the collection; its count may still look right"),
)


def explained(words: str) -> tuple[str, str]:
    """What a failure of Qdrant means, and what to do; both empty when nothing is known of it."""
    return next(((why, fix) for sign, why, fix in MEANINGS if sign in words.lower()), ("", ""))


def path_of(collection: str) -> str:
    """A collection's path, whatever its name."""
    return f"/collections/{quote(collection, safe='')}"


@dataclass(frozen=True, kw_only=True)
class Qdrant:
    """A server. url: without a path; key: its API key; ca: file of the authority that signed its certificate."""

    url: str
    key: str | None = None
    ca: Path | None = None

    @classmethod
    def at(cls, reached: Service) -> "Qdrant":
        """The server at a store's address, with its login."""
        return cls(url=reached.url(), key=reached.password, ca=reached.ca)

    def ask(self, method: str, path: str, *, seconds: float = ANSWER, **words: Any) -> Any:
        """An answer's `result` (or the whole answer). PereneError says what the server's words mean."""
        try:
            answer = requests.request(
                method,
                self.url + path,
                headers=self._headers(words.pop("headers", {})),
                timeout=(10, seconds),
                verify=self._verify,
                **words,
            )
        except requests.RequestException as failure:
            raise PereneError(
                "Qdrant cannot be reached",
                where=self.url,
                why=_last(failure),
                fix="see that it runs and that it may be reached from here",
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        if answer.status_code >= 300:
            raise self._refused(method, path, answer.status_code, answer.text)
        document = answer.json()
        return document.get("result", document)

    def download(self, path: str, target: Path) -> str:
        """An answer's body into a file; its SHA-256."""
        digest = hashlib.sha256()
        with (
            requests.get(self.url + path, headers=self._headers({}), timeout=(10, LONG), stream=True, verify=self._verify) as answer,
            target.open("xb") as out,
        ):
            if answer.status_code >= 300:
                raise self._refused("GET", path, answer.status_code, answer.text)
            for chunk in answer.iter_content(1 << 20):
                digest.update(chunk)
                out.write(chunk)
        return digest.hexdigest()

    def version(self) -> str:
        """The server's version, like `1.18.3`."""
        return str(self.ask("GET", "/")["version"])

    def collections(self) -> list[str]:
        """The names of all collections, sorted."""
        return sorted(entry["name"] for entry in self.ask("GET", "/collections")["collections"])

    def aliases(self) -> dict[str, str]:
        """Alias -> collection."""
        return {entry["alias_name"]: entry["collection_name"] for entry in self.ask("GET", "/aliases")["aliases"]}

    def points(self, collection: str, *, vectors: bool = True) -> Iterator[dict[str, Any]]:
        """Every point with its payload and, unless they are not wanted, its vectors, in pages."""
        body: dict[str, Any] = {"limit": PAGE, "with_payload": True, "with_vector": vectors}
        while True:
            page = self.ask("POST", f"{path_of(collection)}/points/scroll", json=body, seconds=LONG)
            yield from page["points"]
            if page.get("next_page_offset") is None:
                return
            body["offset"] = page["next_page_offset"]

    @property
    def _verify(self) -> str | bool:
        return str(self.ca) if self.ca else True

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return ({"api-key": self.key} if self.key else {}) | dict(more)

    def _refused(self, method: str, path: str, code: int, text: str) -> PereneError:
        why, fix = explained(text)
        words = text.strip()[:500]
        return PereneError(
            f"Qdrant refused: {words or code}",
            where=f"{method} {self.url}{path.partition('?')[0]}",
            why=why or f"it answered {code}",
            fix=fix,
            exit_code=ExitCode.CANNOT_TELL if code in {401, 403} else ExitCode.FAILED,
        )


def _last(failure: BaseException) -> str:
    return str(failure).rpartition("Caused by ")[2][:300]


def fingerprint(server: Qdrant) -> ItemsContent:
    """Per collection its points (with vectors and payload) and how it was made, and each alias. Only the content shows flipped vectors."""
    items = {}
    for name in server.collections():
        items[f"points of {name}"] = _sum(server.points(name))
        about = server.ask("GET", path_of(name))
        schema = {field: {key: entry.get(key) for key in ("data_type", "params")} for field, entry in about["payload_schema"].items()}
        items[f"collection {name}"] = _sum([{"config": _without_none(about["config"]), "indexes": _without_none(schema)}])
    return ItemsContent(items=items | {f"alias {alias}": _sum([{"of": collection}]) for alias, collection in server.aliases().items()})


def _sum(things: Iterable[Mapping[str, Any]]) -> Count:
    rows = total = 0
    for thing in things:
        text = json.dumps(thing, sort_keys=True, separators=(",", ":"))
        total += int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        rows += 1
    return Count(rows=rows, hash=str(total))


def _without_none(value: Any) -> Any:
    """A newer minor version answers with fields that are not set."""
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    return value
