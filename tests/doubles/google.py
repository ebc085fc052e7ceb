"""A double of the Google Cloud APIs that a tier uses: Cloud SQL, Storage, Secret Manager, Monitoring, IAM, Resource Manager.

In memory, on loopback, no authentication. It keeps what it is sent, fills in what the services fill in (without which the provider sees
a difference at the next preview), answers every operation as done, and counts the calls that change something. It checks nothing: what
the services refuse is refused by the configuration, and tested there. Only what a clone of Cloud SQL must meet fails on request.
"""

import copy
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
# Provider setting -> prefix of the double. The provider appends `projects/...` or `b/...` itself.
ENDPOINTS = {
    "sql_custom_endpoint": "sql/v1beta4/",
    "storage_custom_endpoint": "storage/v1/",
    "secret_manager_custom_endpoint": "secrets/v1/",
    "monitoring_custom_endpoint": "monitoring/",
    "iam_beta_custom_endpoint": "iam/v1/",
    "iam_custom_endpoint": "iam/v1/",
    "resource_manager_custom_endpoint": "resources/v1/",
    "cloud_billing_custom_endpoint": "billing/v1/",
}


class Google:
    """The services' state. mutations: method and path of every call that would change something."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.policies: dict[str, Json] = {}
        self.values: dict[str, list[Json]] = {}
        self.mutations: list[str] = []
        self.calls: list[str] = []
        # Cloud SQL: operations that are not simply done, how the next ones go wrong, and the newest moment that can be recovered.
        self.operations: dict[str, Json] = {}
        self.failing: set[str] = set()
        self.recoverable = "2026-11-26T01:00:00.000Z"
        self.lock = threading.Lock()
        self.serial = 0

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        """One request: HTTP status and JSON answer."""
        with self.lock:
            self.calls.append(f"{method} {path}")
            reads = method == "GET" or path.endswith(":getIamPolicy")
            if not reads:
                self.mutations.append(f"{method} {path}")
                self.serial += 1
            service, _, rest = path.lstrip("/").partition("/")
            if rest.endswith((":getIamPolicy", ":setIamPolicy")) or rest.endswith("/iam"):
                return 200, self._policy(method, f"{service}/{rest}", body)
            handler = getattr(self, f"_{service}", None)
            return handler(method, rest, query, body) if handler else (404, _error(404, f"no service {service}"))

    # -- IAM policies, the same for every service ----------------------------------------------------------------------
    def _policy(self, method: str, path: str, body: Json) -> Json:
        resource = re.sub(r"(:[gs]etIamPolicy|/iam)$", "", path)
        if path.endswith(":setIamPolicy") or method == "PUT":
            policy = body.get("policy", body)
            self.policies[resource] = {**policy, "etag": f"e{self.serial}", "version": policy.get("version", 1)}
        return self.policies.setdefault(resource, {"etag": "e0", "version": 1, "bindings": []})

    # -- generic collections --------------------------------------------------------------------------------------------
    def _get(self, key: str) -> tuple[int, Json]:
        return (200, self.objects[key]) if key in self.objects else (404, _error(404, f"{key} was not found"))

    def _list(self, prefix: str, field: str) -> tuple[int, Json]:
        depth = prefix.count("/") + 1
        found = [value for key, value in self.objects.items() if key.startswith(prefix + "/") and key.count("/") == depth]
        return 200, {field: found}

    def _merge(self, key: str, body: Json) -> Json:
        self.objects[key] = _merged(self.objects[key], body)
        return self.objects[key]

    # -- Cloud SQL ------------------------------------------------------------------------------------------------------
    def _sql(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        path = path.removeprefix("v1beta4/")
        parts = path.split("/")
        if parts[2] == "operations":
            return 200, self.operations.get(parts[3], _operation(parts[1], parts[3]))
        if parts[-1] == "getLatestRecoveryTime":
            return 200, {"kind": "sql#getLatestRecoveryTime", "latestRecoveryTime": self.recoverable}
        if parts[-1] == "instances" and method == "GET":
            return self._list(f"sql/{path}", "items")
        if parts[-1] == "clone":
            return self._clone(path.removesuffix("/clone"), body["cloneContext"])
        if method == "DELETE" and "delete" in self.failing:
            return 409, _error(409, "Operation failed because another operation was already in progress.")
        if parts[-1] in {"databases", "users"} and method == "GET":
            return self._list(f"sql/{path}", "items")
        if method == "GET":
            return self._get(f"sql/{path}")
        project = parts[1]
        if parts[-1] == "instances":
            self._new_instance(project, body)
        elif parts[-1] == "databases":
            name = body["name"]
            filled = {"charset": "UTF8", "collation": "en_US.UTF8", "kind": "sql#database", **body}
            self.objects[f"sql/{path}/{name}"] = {**filled, "project": project, "instance": parts[3]}
        elif parts[-1] == "users":
            self.objects[f"sql/{path}/{body['name']}"] = {"kind": "sql#user", "host": "", **body, "project": project, "instance": parts[3]}
        elif method == "DELETE":
            if f"sql/{path}" in self.objects:
                for key in [key for key in self.objects if key == f"sql/{path}" or key.startswith(f"sql/{path}/")]:
                    del self.objects[key]
        else:
            instance = self._merge(f"sql/{path}", body)
            instance["settings"]["settingsVersion"] = str(int(instance["settings"]["settingsVersion"]) + 1)
        return 200, _operation(project, f"op-{self.serial}")

    def _clone(self, source: str, context: Json) -> tuple[int, Json]:
        """A clone inherits every setting of its source, its protections too. failing: how it goes wrong."""
        project, made = source.split("/")[1], self.objects[f"sql/{source}"]
        if "quota" in self.failing:
            return 429, _error(429, "Quota exceeded for quota metric 'Mutate requests'")
        operation = {**_operation(project, f"op-{self.serial}"), "operationType": "CLONE"}
        if "clone" in self.failing:
            operation["error"] = {"errors": [{"code": "INTERNAL_ERROR", "message": "the point in time is out of range"}]}
        if "time-out" in self.failing:
            operation["status"] = "RUNNING"
        self._new_instance(project, {"name": context["destinationInstanceName"], "region": made["region"], "settings": made["settings"]})
        clone = self.objects[f"sql/projects/{project}/instances/{context['destinationInstanceName']}"]
        clone |= {"pointInTime": context["pointInTime"], "state": "PENDING_CREATE" if "never-ready" in self.failing else "RUNNABLE"}
        self.operations[operation["name"]] = operation
        return 200, {**operation, "status": "PENDING"}

    def _new_instance(self, project: str, body: Json) -> None:
        name = body["name"]
        region = body["region"]
        settings = {
            "activationPolicy": "ALWAYS",
            "pricingPlan": "PER_USE",
            "replicationType": "SYNCHRONOUS",
            "storageAutoResize": True,
            "kind": "sql#settings",
            **body["settings"],
            "settingsVersion": "1",
        }
        self.objects[f"sql/projects/{project}/instances/{name}"] = {
            "kind": "sql#instance",
            "state": "RUNNABLE",
            "backendType": "SECOND_GEN",
            "instanceType": "READ_REPLICA_INSTANCE" if body.get("masterInstanceName") else "CLOUD_SQL_INSTANCE",
            **copy.deepcopy(body),
            "settings": settings,
            "project": project,
            "connectionName": f"{project}:{region}:{name}",
            "ipAddresses": [{"type": "PRIVATE", "ipAddress": "10.9.8.7"}],
            "selfLink": f"https://sqladmin.googleapis.com/sql/v1beta4/projects/{project}/instances/{name}",
            "serviceAccountEmailAddress": f"p1-{name}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
            "etag": f"e{self.serial}",
            "serverCaCert": {
                "cert": "",
                "certSerialNumber": "",
                "commonName": "",
                "createTime": "",
                "expirationTime": "",
                "sha1Fingerprint": "",
            },
        }

    # -- Storage --------------------------------------------------------------------------------------------------------
    def _storage(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        path = path.removeprefix("v1/")
        if path.endswith(("/anywhereCaches", "/o")):
            return 200, {"items": []}
        if path == "b" and method == "POST":
            name = body["name"]
            self.objects[f"storage/b/{name}"] = {
                "kind": "storage#bucket",
                "id": name,
                "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
                "projectNumber": "1",
                "locationType": "multi-region",
                "timeCreated": "2026-01-01T00:00:00.000Z",
                "updated": "2026-01-01T00:00:00.000Z",
                "metageneration": "1",
                "rpo": "DEFAULT",
                **copy.deepcopy(body),
            }
            return self._get(f"storage/b/{name}")
        if path.endswith("/lockRetentionPolicy"):
            bucket = self.objects[f"storage/{path.removesuffix('/lockRetentionPolicy')}"]
            bucket["retentionPolicy"]["isLocked"] = True
            return 200, bucket
        if method == "DELETE":
            self.objects.pop(f"storage/{path}", None)
            return 204, {}
        return self._get(f"storage/{path}") if method == "GET" else (200, self._merge(f"storage/{path}", body))

    # -- Secret Manager, Monitoring, IAM --------------------------------------------------------------------------------
    def _secrets(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        path = path.removeprefix("v1/")
        secret, _, rest = path.partition("/versions")
        key = f"secrets/{secret}"
        if path.endswith(":addVersion"):
            return self._add_version(f"secrets/{path.removesuffix(':addVersion')}", body)
        if rest or path.endswith("/versions"):
            return self._versions(key, rest, method)
        if method == "POST":
            name = f"{path}/{query['secretId'][0]}"
            self.objects[f"secrets/{name}"] = {**body, "name": name, "createTime": "2026-01-01T00:00:00Z"}
            return self._get(f"secrets/{name}")
        return self._plain("secrets", method, path, body)

    def _add_version(self, key: str, body: Json) -> tuple[int, Json]:
        if key not in self.objects:
            return 404, _error(404, f"{key} was not found")
        versions = self.values.setdefault(key, [])
        versions.append({"data": body["payload"]["data"], "state": "ENABLED"})
        return 200, {"name": f"{key.removeprefix('secrets/')}/versions/{len(versions)}", "state": "ENABLED"}

    def _versions(self, key: str, rest: str, method: str) -> tuple[int, Json]:
        if key not in self.objects:
            return 404, _error(404, f"{key} was not found")
        versions = self.values.get(key, [])
        name = key.removeprefix("secrets/")
        number, _, verb = rest.strip("/").partition(":")
        if number == "latest" and not versions:
            return 404, _error(404, f"{key} has no version")
        number = str(len(versions)) if number == "latest" else number
        if verb == "access":
            return 200, {"name": f"{name}/versions/{number}", "payload": {"data": versions[int(number) - 1]["data"]}}
        if verb == "disable":
            versions[int(number) - 1]["state"] = "DISABLED"
            return 200, {}
        return 200, {"versions": [{"name": f"{name}/versions/{n}", "state": v["state"]} for n, v in enumerate(versions, 1)]}

    def _monitoring(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        path = path.removeprefix("v3/")
        if method == "POST":
            made = copy.deepcopy(body)
            made["name"] = f"{path}/{self.serial}"
            for index, condition in enumerate(made.get("conditions", [])):
                condition["name"] = f"{made['name']}/conditions/{index}"
            self.objects[f"monitoring/{made['name']}"] = made
            return 200, made
        return self._plain("monitoring", method, path, body)

    def _iam(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        path = path.removeprefix("v1/")
        if method == "POST" and path.endswith("/serviceAccounts"):
            project = path.split("/")[1]
            email = f"{body['accountId']}@{project}.iam.gserviceaccount.com"
            name = f"projects/{project}/serviceAccounts/{email}"
            account = {"name": name, "projectId": project, "uniqueId": str(10**20 + self.serial), "email": email, "oauth2ClientId": "1"}
            self.objects[f"iam/{name}"] = {**account, **body.get("serviceAccount", {})}
            return self._get(f"iam/{name}")
        if method == "POST" and path.endswith("/roles"):
            name = f"{path}/{body['roleId']}"
            self.objects[f"iam/{name}"] = {**body["role"], "name": name, "etag": f"e{self.serial}"}
            return self._get(f"iam/{name}")
        return self._plain("iam", method, path, body.get("serviceAccount", body))

    def _plain(self, service: str, method: str, path: str, body: Json) -> tuple[int, Json]:
        key = f"{service}/{path}"
        if key not in self.objects:
            return 404, _error(404, f"{key} was not found")
        if method == "DELETE":
            del self.objects[key]
            return 200, {}
        return self._get(key) if method == "GET" else (200, self._merge(key, body))

    def _resources(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        project = path.removeprefix("v1/").removeprefix("projects/")
        return 200, {"projectId": project, "projectNumber": "1", "name": project, "lifecycleState": "ACTIVE"}


def _merged(old: Json, new: Json) -> Json:
    """What an update leaves: the sent fields over the kept ones, a null removes."""
    result = {**old}
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(old.get(key), dict) and key == "settings":
            result[key] = {**old[key], **value, "settingsVersion": old[key].get("settingsVersion", "1")}
        else:
            result[key] = value
    return result


def _operation(project: str, name: str) -> Json:
    return {"kind": "sql#operation", "name": name, "status": "DONE", "targetProject": project, "operationType": "UPDATE"}


def _error(code: int, message: str) -> Json:
    return {"error": {"code": code, "message": message, "status": "NOT_FOUND"}}


class _Handler(BaseHTTPRequestHandler):
    google: ClassVar[Google]
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        address = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        body = json.loads(raw) if raw.strip().startswith(b"{") else {}
        status, answer = self.google.answer(self.command, unquote(address.path), parse_qs(address.query), body)
        text = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the standard library's names

    def log_message(self, *arguments: object) -> None:
        """Quiet: tests read `calls`."""


@contextmanager
def serve() -> Iterator[tuple[Google, str]]:
    """The double on a free port of loopback: its state, and its address ending in a slash."""
    google = Google()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"google": google}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield google, f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
