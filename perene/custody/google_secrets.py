"""Google Secret Manager as a vault."""

import base64
from collections.abc import Iterable
from typing import Any

from perene.custody.cloud_secrets import no_shell, refused
from perene.custody.google_session import session as google_session
from perene.custody.material import Content
from perene.custody.needed import Needed

GOOGLE = "https://secretmanager.googleapis.com/v1/"


class GoogleSecrets:
    """Google Secret Manager over its REST interface, as the operator's own identity (Application Default Credentials)."""

    def __init__(self, endpoint: str = GOOGLE, session: Any = None) -> None:
        self._endpoint, self._session = endpoint, session or google_session()

    def read(self, secrets: Iterable[Needed]) -> dict[str, Content]:
        """The newest enabled value of each; a shell without a value, or no shell, is not in the answer.

        `latest` would name the newest version even where it is disabled.
        """
        found = {}
        for secret in secrets:
            enabled = [number for number, state in self._versions(secret, missing_is_empty=True).items() if state == "ENABLED"]
            if enabled:
                answer = self._call("GET", f"{_path(secret)}/versions/{max(enabled)}:access", secret)
                found[secret.name] = {secret.ref.key: base64.b64decode(answer["payload"]["data"])}
        return found

    def latest(self, secret: Needed) -> bytes:
        """The newest version: who may only read values may not list versions."""
        answer = self._call("GET", f"{_path(secret)}/versions/latest:access", secret)
        return base64.b64decode(answer["payload"]["data"])

    def create(self, secret: Needed, content: Content) -> bool:
        """Add the first version. Two runs at once both add one: the lower number counts, and the other is disabled."""
        if self._versions(secret):
            return False
        payload = {"payload": {"data": base64.b64encode(content[secret.ref.key]).decode()}}
        added = self._call("POST", f"{_path(secret)}:addVersion", secret, payload)
        number = int(added["name"].rpartition("/")[2])
        if number == min(self._versions(secret)):
            return True
        self._call("POST", f"{_path(secret)}/versions/{number}:disable", secret, {})
        return False

    def retire(self, secret: Needed) -> None:
        """Disable every enabled version: it can be enabled again until somebody destroys it."""
        for number, state in self._versions(secret, missing_is_empty=True).items():
            if state == "ENABLED":
                self._call("POST", f"{_path(secret)}/versions/{number}:disable", secret, {})

    def _versions(self, secret: Needed, *, missing_is_empty: bool = False) -> dict[int, str]:
        answer = self._call("GET", f"{_path(secret)}/versions", secret, missing_is_none=missing_is_empty) or {}
        return {int(version["name"].rpartition("/")[2]): version["state"] for version in answer.get("versions", [])}

    def _call(self, method: str, path: str, secret: Needed, body: Any = None, *, missing_is_none: bool = False) -> Any:
        answer = self._session.request(method, self._endpoint + path, json=body, timeout=30)
        if answer.status_code == 404 and missing_is_none:
            return None
        if answer.status_code == 404:
            raise no_shell(secret)
        if answer.status_code >= 400:
            raise refused(secret, f"HTTP {answer.status_code} {answer.reason}")
        return answer.json()


def _path(secret: Needed) -> str:
    return f"projects/{secret.ref.scope}/secrets/{secret.name}"
