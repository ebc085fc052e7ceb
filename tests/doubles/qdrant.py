"""A double of Qdrant's REST interface (1.18), for machines without the real server: `python qdrant.py` with its variables.

It has collections, points, aliases and snapshots with checksums, in memory, and answers as 1.18.3 was seen to answer: the tests that use it
run on the real server too, where PERENE_QDRANT names one. It stores nothing, searches nothing, and never panics.
"""

import hashlib
import io
import json
import os
import re
import sys
import tarfile
import time
from array import array
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

VERSION = os.environ.get("DOUBLE_VERSION", "1.18.3")


class RefusedError(Exception):
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class State:
    collections: ClassVar[dict[str, dict[str, Any]]] = {}
    aliases: ClassVar[dict[str, str]] = {}
    snapshots: ClassVar[dict[str, dict[str, bytes]]] = {}


def collection(name: str) -> dict[str, Any]:
    name = State.aliases.get(name, name)
    if name not in State.collections:
        raise RefusedError(404, f"Not found: Collection `{name}` doesn't exist!")
    return State.collections[name]


def named(name: str) -> None:
    found = next((letter for letter in '<>:"/\\|?*' if letter in name), None)
    if found:
        words = f'[collection_name: collection name cannot contain "{found}" char]'
        raise RefusedError(422, f"Validation error in path parameters: {words}")


def create(body: Any, name: str, **_: Any) -> Any:
    named(name)
    State.collections[name] = {"config": {"params": {"vectors": body["vectors"]}, "quantization_config": None}, "points": {}}
    return True


def remove(_: Any, name: str, **__: Any) -> Any:
    State.aliases = {alias: of for alias, of in State.aliases.items() if of != name}
    return State.collections.pop(name, None) is not None


def scroll(body: Any, name: str, **_: Any) -> Any:
    points = sorted(collection(name)["points"].items(), key=lambda pair: int(pair[0]))
    rest = [point for number, point in points if int(number) >= int(body.get("offset") or 0)]
    after = rest[body["limit"]]["id"] if len(rest) > body["limit"] else None
    return {"points": rest[: body["limit"]], "next_page_offset": after}


def upsert(body: Any, name: str, **_: Any) -> Any:
    for point in body["points"]:
        collection(name)["points"][str(point["id"])] = {"payload": None, **point, "vector": array("f", point["vector"]).tolist()}
    return {"status": "completed"}


def delete_points(body: Any, name: str, **_: Any) -> Any:
    for number in body["points"]:
        collection(name)["points"].pop(str(number), None)
    return {"status": "completed"}


def set_payload(body: Any, name: str, **_: Any) -> Any:
    for number in body["points"]:
        collection(name)["points"][str(number)]["payload"] = body["payload"]
    return {"status": "completed"}


def set_vectors(body: Any, name: str, **_: Any) -> Any:
    for point in body["points"]:
        collection(name)["points"][str(point["id"])]["vector"] = array("f", point["vector"]).tolist()
    return {"status": "completed"}


def change_aliases(body: Any, **_: Any) -> Any:
    for action in body["actions"]:
        if "create_alias" in action:
            collection(action["create_alias"]["collection_name"])
            State.aliases[action["create_alias"]["alias_name"]] = action["create_alias"]["collection_name"]
        else:
            State.aliases.pop(action["delete_alias"]["alias_name"])
    return True


def snapshot(_: Any, name: str, **__: Any) -> Any:
    points = collection(name)["points"]
    about = {"config": collection(name)["config"], "points": {key: {**point, "vector": None} for key, point in points.items()}}
    vectors = b"".join(array("f", point["vector"]).tobytes() for point in points.values())
    data = tar({"config.json": json.dumps(about).encode(), "vectors": vectors})
    return kept(name, f"{name}-1-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime())}.snapshot", data)


def snapshot_of_all(*_: Any, **__: Any) -> Any:
    """It makes one of each collection on its way, and removes it again: with it that of the same second, which has the same name."""
    data = {}
    for name in State.collections:
        made = snapshot(None, name)["name"]
        data[made] = State.snapshots[name].pop(made)
    return kept("", f"full-snapshot-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime())}.snapshot", tar(data))


def kept(name: str, made: str, data: bytes) -> dict[str, Any]:
    State.snapshots.setdefault(name, {})[made] = data
    return {"name": made, "size": len(data), "checksum": hashlib.sha256(data).hexdigest()}


def tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def untar(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]


def upload(body: bytes, name: str, query: dict[str, list[str]], **_: Any) -> Any:
    named(name)
    data = body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0]
    found = hashlib.sha256(data).hexdigest()
    if "checksum" in query and found != query["checksum"][0]:
        raise RefusedError(400, f"Checksum mismatch: expected {found}, actual {query['checksum'][0]}")
    try:
        files = untar(data)
        about, vectors = json.loads(files["config.json"]), array("f", files["vectors"])
        size = about["config"]["params"]["vectors"]["size"]
    except (tarfile.TarError, KeyError, ValueError):
        raise RefusedError(500, "Service internal error: File IO error: Malformed tar archive, reached unknown entry") from None
    for number, point in enumerate(about["points"].values()):
        point["vector"] = vectors[number * size : (number + 1) * size].tolist()
    State.collections[name] = about
    return True


ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/collections", lambda *_, **__: {"collections": [{"name": name} for name in State.collections]}),
    (
        "GET",
        "/aliases",
        lambda *_, **__: {"aliases": [{"alias_name": alias, "collection_name": of} for alias, of in State.aliases.items()]},
    ),
    ("POST", "/collections/aliases", change_aliases),
    ("GET", "/collections/{name}", lambda _, name, **__: {"config": collection(name)["config"], "payload_schema": {}}),
    ("PUT", "/collections/{name}", create),
    ("DELETE", "/collections/{name}", remove),
    ("PUT", "/collections/{name}/points", upsert),
    ("POST", "/collections/{name}/points/scroll", scroll),
    ("POST", "/collections/{name}/points/delete", delete_points),
    ("PUT", "/collections/{name}/points/payload", set_payload),
    ("PUT", "/collections/{name}/points/vectors", set_vectors),
    ("GET", "/collections/{name}/snapshots", lambda _, name, **__: [{"name": made} for made in State.snapshots.get(name, {})]),
    ("POST", "/collections/{name}/snapshots", snapshot),
    ("POST", "/collections/{name}/snapshots/upload", upload),
    ("POST", "/snapshots", snapshot_of_all),
    ("GET", "/collections/{name}/snapshots/{file}", lambda _, name, file, **__: State.snapshots[name][file]),
    ("DELETE", "/collections/{name}/snapshots/{file}", lambda _, name, file, **__: State.snapshots[name].pop(file) is not None),
)


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        path = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(data) if data and "json" in self.headers.get("Content-Type", "") else data
        if path.path == "/":
            return self.send(200, {"title": "double of qdrant", "version": VERSION})
        for method, pattern, act in ROUTES:
            found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), path.path)
            if found and method == self.command:
                words = {key: unquote(value) for key, value in found.groupdict().items()}
                try:
                    result = act(body, query=parse_qs(path.query), **words)
                except RefusedError as refused:
                    return self.send(refused.code, {"status": {"error": str(refused)}})
                return self.send(200, result if isinstance(result, bytes) else {"result": result, "status": "ok"})
        return self.send(404, {"status": {"error": "no such route"}})

    def send(self, code: int, content: Any) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: Any) -> None:
        """Quiet."""


if __name__ == "__main__":
    sys.exit(
        ThreadingHTTPServer((os.environ["QDRANT__SERVICE__HOST"], int(os.environ["QDRANT__SERVICE__HTTP_PORT"])), Handler).serve_forever()
    )
