"""A few calls to the cluster's API server with a client certificate; every one has a time limit."""

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any

from perene.errors import PereneError

Object = dict[str, Any]


class ApiError(PereneError):
    """The API server answered with an error; `status` is the HTTP code."""

    def __init__(self, status: int, message: str, *, where: str) -> None:
        self.status = status
        super().__init__(message, where=where)


class Api:
    """The API server behind one kubeconfig of ours (JSON with embedded certificates)."""

    def __init__(self, kubeconfig: Path, *, timeout: float = 5) -> None:
        document = json.loads(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:  # ssl reads client certificates from files only; this one is 0600 and gone at once
            pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        self._address, self._timeout = str(cluster["server"]).removeprefix("https://"), timeout

    def text(self, method: str, path: str, body: Object | None = None, *, content: str = "application/json") -> str:
        """One call; the body of a good answer. ApiError for an HTTP error, OSError when there is no answer."""
        connection = http.client.HTTPSConnection(self._address, timeout=self._timeout, context=self._context)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content})
            answer = connection.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        if answer.status >= 400:
            try:
                message = str(json.loads(text).get("message", text))
            except ValueError:
                message = text
            raise ApiError(answer.status, message, where=f"{method} {path}")
        return text

    def call(self, method: str, path: str, body: Object | None = None, *, content: str = "application/json") -> Object:
        """One call that answers with JSON."""
        answer: Object = json.loads(self.text(method, path, body, content=content))
        return answer

    def get(self, path: str) -> Object:
        """GET."""
        return self.call("GET", path)

    def merge(self, path: str, patch: Object) -> Object:
        """A JSON merge patch."""
        return self.call("PATCH", path, patch, content="application/merge-patch+json")

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply of one object at its full path."""
        return self.call("PATCH", f"{path}?fieldManager=perene-local&force=true", body, content="application/apply-patch+yaml")

    def ready(self) -> bool:
        """Whether `/readyz` says ok."""
        try:
            return self.text("GET", "/readyz") == "ok"
        except (OSError, ApiError):
            return False
