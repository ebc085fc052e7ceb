"""A double of Qdrant's REST interface, as far as the example uses it. Its own server is asked in tests/e2e."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving

Json = dict[str, Any]


class Qdrant:
    """collections: name -> settings and points; fails: how many writes are refused before one is taken."""

    def __init__(self) -> None:
        self.collections: dict[str, Json] = {}
        self.aliases: dict[str, str] = {}
        self.fails = 0
        self.made: list[str] = []

    def answer(self, method: str, path: str, body: Json) -> tuple[int, Any]:
        words = path.partition("?")[0].strip("/").split("/")
        if path == "/aliases":
            return 200, {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in self.aliases.items()]}
        if path == "/collections/aliases":
            self.aliases |= {one["create_alias"]["alias_name"]: one["create_alias"]["collection_name"] for one in body["actions"]}
            return 200, True
        if path == "/collections":
            return 200, {"collections": [{"name": name} for name in self.collections]}
        if len(words) == 2 and method == "PUT":
            if words[1] in self.collections:
                return 409, None
            self.collections[words[1]] = {"vectors": body["vectors"], "points": {}}
            self.made.append(words[1])
            return 200, True
        if len(words) == 2:
            return 200, {"config": {"params": {"vectors": self.collections[words[1]]["vectors"]}}}
        points = self.collections[words[1]]["points"]
        if method == "PUT":
            if self.fails:
                self.fails -= 1
                return 503, None
            points |= {point["id"]: point["payload"] for point in body["points"]}
            return 200, {"status": "completed"}
        return 200, [{"id": number, "payload": points[number]} for number in body["ids"] if number in points]


@contextmanager
def serve() -> Iterator[tuple[Qdrant, str]]:
    double = Qdrant()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, result = double.answer(self.command, self.path, json.loads(body or b"{}"))
            text = json.dumps({"result": result}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield double, f"http://127.0.0.1:{port}"
