"""A small double of AWS Rekognition's collections, on loopback, because no emulator has them: the documented answers and errors.

A photo decides its own fate by its first bytes: `noface`, `large`, `format`, `throttle:N` (N times, then it is taken).
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving

Json = dict[str, Any]
PAGE = 2


class Rekognition:
    """collections: id -> external id -> face; calls: operation -> how often."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, str]] = {}
        self.calls: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        self.stop_after: int | None = None

    def answer(self, operation: str, given: Json) -> tuple[int, Json]:
        self.calls[operation] += 1
        faces = self.collections.get(given["CollectionId"])
        if operation == "CreateCollection":
            if faces is not None:
                return error("ResourceAlreadyExistsException")
            self.collections[given["CollectionId"]] = {}
            return 200, {"StatusCode": 200, "CollectionArn": "arn", "FaceModelVersion": "7.0"}
        if faces is None:
            return error("ResourceNotFoundException")
        if operation == "ListFaces":
            names = sorted(faces)
            start = int(given.get("NextToken", 0))
            page: Json = {"Faces": [{"FaceId": faces[name], "ExternalImageId": name} for name in names[start : start + PAGE]]}
            return 200, page | ({"NextToken": str(start + PAGE)} if start + PAGE < len(names) else {})
        return self._index(faces, given["ExternalImageId"], base64.b64decode(given["Image"]["Bytes"]))

    def _index(self, faces: dict[str, str], name: str, image: bytes) -> tuple[int, Json]:
        self.tried[name] += 1
        if self.stop_after is not None and self.calls["IndexFaces"] > self.stop_after:
            return error("AccessDeniedException")
        kind, _, count = image.partition(b"\0")[0].decode().partition(":")
        if kind == "throttle" and self.tried[name] <= int(count):
            return error("ThrottlingException")
        if kind == "large":
            return error("ImageTooLargeException")
        if kind == "format":
            return error("InvalidImageFormatException")
        if kind == "noface":
            return 200, {"FaceRecords": [], "UnindexedFaces": []}
        if kind == "blurred":
            return 200, {"FaceRecords": [], "UnindexedFaces": [{"Reasons": ["LOW_SHARPNESS"]}]}
        faces.setdefault(name, f"face-{len(faces)}")
        return 200, {"FaceRecords": [{"Face": {"FaceId": faces[name], "ExternalImageId": name}}], "UnindexedFaces": []}


def error(code: str) -> tuple[int, Json]:
    return 400, {"__type": code, "Message": "said by the double"}


@contextmanager
def serve() -> Iterator[tuple[Rekognition, str]]:
    """The double and its address."""
    double = Rekognition()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = double.answer(self.headers["X-Amz-Target"].rpartition(".")[2], json.loads(body))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            return

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield double, f"http://127.0.0.1:{port}"
