"""Reading a Kubernetes API: from inside a pod by its service account, from outside by kubectl. Nothing is ever written."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from perene.contract.tier import SecretRef
from perene.engine.kubectl import Kubectl
from perene.errors import PereneError
from perene.exit_codes import ExitCode

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Api(Protocol):
    """Where objects are read from. Both raise PereneError (exit 3) when there is no answer."""

    def text(self, path: str) -> str:
        """The answer to GET path."""

    def stats(self, node: str, address: str) -> dict[str, Any]:
        """The kubelet's summary of a node: volumes, CPU and memory of pods."""


def items(api: Api, path: str) -> list[dict[str, Any]]:
    """The objects of a list."""
    found: list[dict[str, Any]] = json.loads(api.text(path))["items"]
    return found


def document(api: Api, path: str) -> dict[str, Any]:
    """One object."""
    found: dict[str, Any] = json.loads(api.text(path))
    return found


def secret(api: Api, ref: SecretRef) -> bytes:
    """A value of a Kubernetes Secret. PereneError (exit 3) when it cannot be had; never a value in the message."""
    data = document(api, f"/api/v1/namespaces/{ref.scope}/secrets/{ref.name}").get("data", {})
    if ref.vault != "kubernetes" or ref.key not in data:
        raise PereneError(
            "it is not there", where=f"secret {ref.name} key {ref.key}", fix="perene secrets check", exit_code=ExitCode.CANNOT_TELL
        )
    return base64.b64decode(data[ref.key])


class ByKubectl:
    """The cluster of an operator's kubectl. seconds: how long one question may take."""

    def __init__(self, client: Kubectl, seconds: int = 3) -> None:
        self.client, self.seconds = client, seconds

    def text(self, path: str) -> str:
        """The answer to `kubectl get --raw`."""
        answer = self.client.ask("get", "--raw", path, seconds=self.seconds)
        if answer.code:
            last = answer.stderr.splitlines()[-1:] or ["no reason given"]
            raise PereneError(last[0], where=path, exit_code=ExitCode.CANNOT_TELL)
        return answer.stdout

    def stats(self, node: str, address: str) -> dict[str, Any]:
        """The kubelet's summary, through the API server (an operator may do that)."""
        del address
        return document(self, f"/api/v1/nodes/{node}/proxy/stats/summary")

    def run(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
        """What a read-only command says in a container."""
        answer = self.client.ask("exec", "-n", namespace, pod, "-c", container, "--", *command, seconds=self.seconds)
        if answer.code:
            raise PereneError(answer.stderr or "it failed", where=f"exec {pod}", exit_code=ExitCode.CANNOT_TELL)
        return answer.stdout


class InCluster:
    """The cluster that this pod runs in, as its service account. kubelet_ca: PEM file, empty where kubelets sign their own certificates."""

    def __init__(
        self, kubelet_ca: str = "", timeout: float = 5, account: Path = _ACCOUNT, server: str = "https://kubernetes.default.svc"
    ) -> None:
        self.account, self.server, self.timeout = account, server, timeout
        self.api_tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
        self.kubelet_tls = ssl.create_default_context(cafile=kubelet_ca or None)
        if not kubelet_ca:
            # A kubelet that signs its own certificate cannot be verified; the token that it then sees may only read its own figures
            # and this namespace's state (infra/components/exporter.py).
            self.kubelet_tls.check_hostname = False
            self.kubelet_tls.verify_mode = ssl.CERT_NONE

    @staticmethod
    def namespace(account: Path = _ACCOUNT) -> str:
        """The namespace of this pod; empty outside of one."""
        place = account / "namespace"
        return place.read_text().strip() if place.is_file() else ""

    def _get(self, url: str, tls: ssl.SSLContext) -> str:
        # The token is renewed on disk about every hour, so it is read each time.
        headers = {"Authorization": f"Bearer {(self.account / 'token').read_text().strip()}"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - https only, see the constructor
        try:
            with urllib.request.urlopen(request, timeout=self.timeout, context=tls) as answer:  # noqa: S310
                body: bytes = answer.read()
        except (urllib.error.URLError, TimeoutError, OSError) as failed:
            raise PereneError(f"no answer: {failed}", where=url, exit_code=ExitCode.CANNOT_TELL) from None
        return body.decode(errors="replace")

    def text(self, path: str) -> str:
        """The answer to GET path."""
        return self._get(self.server + path, self.api_tls)

    def stats(self, node: str, address: str) -> dict[str, Any]:
        """The kubelet's summary, from the kubelet itself (right `nodes/stats`)."""
        del node
        found: dict[str, Any] = json.loads(self._get(f"https://{address}:10250/stats/summary", self.kubelet_tls))
        return found
