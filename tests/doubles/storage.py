"""A double of Cloud Storage's objects over HTTP: as much of its JSON interface as `perene.backup.gcs` asks for, in memory.

A real bucket cannot be had here. Generations, conditions and status codes are those of the service's reference.
"""

import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving


class Storage:
    """One service. objects: bucket -> name -> content; buckets: their own resources (retention policy and the like)."""

    def __init__(self, **buckets: dict[str, Any]) -> None:
        self.buckets, self.objects = buckets, {name: dict[str, bytes]() for name in buckets}
        self.alone = threading.Lock()

    def answer(self, method: str, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and content."""
        path, query = urllib.parse.urlsplit(url).path, dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        parts = path.removeprefix("/upload").removeprefix("/storage/v1/b/").split("/", 2)
        bucket = parts[0]
        if bucket not in self.buckets:
            return 404, b"no such bucket"
        held = self.objects[bucket]
        if len(parts) == 1:
            return 200, json.dumps(self.buckets[bucket]).encode()
        name = urllib.parse.unquote(parts[2]) if len(parts) > 2 else query.get("name", "")
        if method == "POST":
            with self.alone:
                if query.get("ifGenerationMatch") == "0" and name in held:
                    return 412, b"precondition failed"
                held[name] = body
            return 200, b"{}"
        if len(parts) == 2:
            items = [{"name": key} for key in sorted(held) if key.startswith(query.get("prefix", ""))]
            return 200, json.dumps({"items": items}).encode()
        if name not in held:
            return 404, b"no such object"
        return (204, b"") if method == "DELETE" and held.pop(name) is not None else (200, held[name])


@contextmanager
def serve(storage: Storage) -> Iterator[str]:
    """The double on loopback; its address, for STORAGE_EMULATOR_HOST."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            status, content = storage.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - http.server calls them so

        def log_message(self, *_: object) -> None:
            return

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"
