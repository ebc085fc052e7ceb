"""Redis, RabbitMQ, file volumes and (where a program of it is named) Qdrant on the cluster: what was written outlives pods and sets."""

import base64
import contextlib
import http.client
import json
import os
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from perene.errors import PereneError
from tests.e2e.tier import ROOT, Tier, eventually

pytestmark = pytest.mark.e2e

SERVICES = ROOT / "tests" / "infra" / "config" / "services.yaml"
QDRANT = bool(os.environ.get("PERENE_QDRANT"))
SECRETS = "/etc/perene/secrets"
POINTS = [{"id": number, "vector": [number, 1, 0, 0], "payload": {"n": number}} for number in range(100)]


class Stores(Tier):
    """A stack of its own beside the first: one store of each kind."""

    def within(self, pod: str, container: str, script: str) -> str:
        """A shell command in a container."""
        return self.kubectl.run("exec", pod, "-n", self.namespace, "-c", container, "--", "sh", "-c", script, seconds=60).strip()

    def redis(self, store: str, *words: str, user: str = "app") -> str:
        """A command of Redis, over TLS whose authority is verified."""
        call = f"redis-cli --tls --cacert {SECRETS}/tls/ca.crt -h localhost --user {user} --no-auth-warning {' '.join(words)}"
        return self.within(f"{store}-g1-0", "redis", f'REDISCLI_AUTH="$(cat {SECRETS}/{user}/password)" {call}')

    def rabbit(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the management API as app's administrator, over TLS whose authority is verified."""
        data = f"--data '{json.dumps(body)}'" if body is not None else ""
        auth = f'printf "user = \\"admin:%s\\"" "$(cat {SECRETS}/admin/password)" | curl --config -'
        call = f"{auth} -sS --fail --cacert {SECRETS}/tls/ca.crt -X {method} {data} https://localhost:15671/api/{path}"
        answer = self.within("events-g1-0", "rabbitmq", call)
        return json.loads(answer) if answer else None

    def qdrant(self, method: str, path: str, body: Any = None, key: str = "admin") -> Any:
        """A call of Qdrant's REST, over TLS whose authority is verified."""
        secret = self.secret(f"vectors-g1-{key}", "password")
        service = self.kubectl.get("service", "vectors-g1", self.namespace)
        assert service
        context = ssl.create_default_context(cadata=self.secret("vectors-g1-tls", "ca.crt"))
        context.check_hostname = False  # the certificate names the Service, which only the cluster's DNS knows
        connection = http.client.HTTPSConnection(service["spec"]["clusterIP"], 6333, context=context, timeout=20)
        connection.request(
            method, path, json.dumps(body) if body is not None else None, {"api-key": secret, "content-type": "application/json"}
        )
        return json.loads(connection.getresponse().read())

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret."""
        found = self.kubectl.get("secret", name, self.namespace)
        assert found
        return base64.b64decode(found["data"][key]).decode()

    def written(self) -> dict[str, object]:
        """What is in each store now."""
        found: dict[str, object] = {
            "queue": self.redis("queue", "dbsize"),
            "events": {one["name"]: one["type"] for one in self.rabbit("GET", "queues/%2F")},
            "messages": self.within("events-g1-0", "rabbitmq", "rabbitmqctl -q list_queues name messages --no-table-headers"),
            "media": self.within("reader", "reader", "cat /media/media/photo; stat -c '%u:%g %a' /media/media"),
        }
        if QDRANT:
            found["vectors"] = self.qdrant("POST", "/collections/documents/points/count", {"exact": True})["result"]["count"]
        return found

    def uids(self, kind: str) -> dict[str, str]:
        """name -> uid of every object of a kind."""
        return {one["metadata"]["name"]: one["metadata"]["uid"] for one in self.kubectl.find([kind], namespace=self.namespace)}

    def all_ready(self) -> bool:
        """Whether every set has its pod ready."""
        sets = self.kubectl.find(["statefulsets.apps"], namespace=self.namespace)
        return bool(sets) and all((one.get("status") or {}).get("readyReplicas") == 1 for one in sets)


@pytest.fixture(scope="module")
def stores(tier: Tier) -> Iterator[Stores]:
    declared = yaml.safe_load(SERVICES.read_text())
    if not QDRANT:
        del declared["vectors"]
    value = yaml.safe_load((tier.root / "Pulumi.dev.yaml").read_text())["config"]["perene:tier"]
    value |= {"system": "stores", "stores": declared, "cluster": {**value["cluster"], "namespace": "stores"}}
    del value["backups"], value["encryptionKey"]
    file = tier.root / "Pulumi.stores-dev.yaml"
    file.write_text(yaml.safe_dump({"config": {"perene:tier": value}}))
    found = Stores(tier.root, "stores-dev")
    done = found.make("up")
    assert done.returncode == 0, done.stderr
    reader = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader", "namespace": "stores"},
        "spec": {
            "securityContext": {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "fsGroupChangePolicy": "OnRootMismatch"},
            "containers": [
                {
                    "name": "reader",
                    "image": "perene.local/ops:1-trixie",
                    "command": ["sleep", "infinity"],
                    "volumeMounts": [{"name": "media", "mountPath": "/media"}],
                }
            ],
            "volumes": [{"name": "media", "persistentVolumeClaim": {"claimName": "data-media-g1-0"}}],
        },
    }
    found.kubectl.run("apply", "-f", "-", stdin=json.dumps(reader))
    found.kubectl.run("wait", "pod/reader", "-n", "stores", "--for=condition=Ready", "--timeout=60s", seconds=70)
    yield found
    found.kubectl.run("delete", "pod", "reader", "-n", "stores", "--grace-period=1", seconds=60)
    done = found.perene("destroy", found.stack, "--confirm", found.stack)
    file.unlink()
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def before(stores: Stores) -> dict[str, object]:
    """Some of everything, written as the application would."""
    for number in range(50):
        assert stores.redis("queue", "set", f"key:{number}", str(number)) == "OK"
    stores.redis("cache", "set", "page", "cached")
    for number in range(20):
        body = {"properties": {"delivery_mode": 2}, "routing_key": "frames", "payload": f"frame {number}", "payload_encoding": "string"}
        assert stores.rabbit("POST", "exchanges/%2F/amq.default/publish", body) == {"routed": True}
    stores.within("reader", "reader", "printf bytes > /media/media/photo")
    if QDRANT:
        stores.qdrant("PUT", "/collections/documents", {"vectors": {"size": 4, "distance": "Cosine"}})
        assert stores.qdrant("PUT", "/collections/documents/points?wait=true", {"points": POINTS})["status"] == "ok"
    eventually(lambda: "frames\t20" in str(stores.written()["messages"]), "the messages to be counted")
    return stores.written()


def test_what_is_declared_is_there_and_nobody_gets_in_without_a_right(stores: Stores, before: dict[str, object]) -> None:
    assert before["queue"] == "50"
    assert before["events"] == {"frames": "quorum"}
    assert before["media"] == "bytes10001:10001 2770" or before["media"] == "bytes10001:10001 770"
    assert "NOPERM" in stores.redis("queue", "flushall")
    assert "NOPERM" in stores.redis("queue", "set", "k", "v", user="backup")
    assert "NOAUTH" in stores.within("queue-g1-0", "redis", f"redis-cli --tls --cacert {SECRETS}/tls/ca.crt -h localhost dbsize")
    if QDRANT:
        assert "error" in stores.qdrant("DELETE", "/collections/documents", key="readonly")["status"]


def test_everything_outlives_its_pods(stores: Stores, before: dict[str, object]) -> None:
    pods = {name: uid for name, uid in stores.uids("pods").items() if name.endswith("-g1-0")}
    stores.kubectl.run("delete", "pod", *pods, "-n", "stores", "--wait=false")
    eventually(lambda: not set(pods.values()) & set(stores.uids("pods").values()) and stores.all_ready(), "the new pods", seconds=240)
    eventually(lambda: stores.written() == before, "everything to be there again (quorum counts come late)")
    assert stores.redis("cache", "dbsize") == "0", "a cache keeps nothing"


def test_deleted_sets_are_made_anew_and_adopt_the_same_volumes(stores: Stores, before: dict[str, object]) -> None:
    claims = stores.uids("persistentvolumeclaims")
    stores.kubectl.run("delete", "statefulset", *stores.uids("statefulsets.apps"), "-n", "stores", seconds=240)
    done = stores.make("up")
    assert done.returncode == 0, done.stderr
    assert stores.uids("persistentvolumeclaims") == claims
    eventually(lambda: stores.written() == before, "everything to be there again")


def test_a_second_up_changes_nothing(stores: Stores, before: dict[str, object]) -> None:
    versions = stores.versions()
    done = stores.make("up")
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stderr
    assert stores.versions() == versions
    assert stores.written() == before


def test_an_emptied_volume_is_not_started_beside(stores: Stores, before: dict[str, object]) -> None:
    stores.within("queue-g1-0", "redis", "rm -rf /stores/queue/data/appendonlydir /stores/queue/data/dump.rdb")
    with contextlib.suppress(PereneError):  # the container ends with the server
        stores.redis("queue", "shutdown", "nosave", user="admin")

    def said() -> str:
        lines = [
            *stores.kubectl.logs("queue-g1-0", "stores", container="redis"),
            *stores.kubectl.logs("queue-g1-0", "stores", previous=True),
        ]
        return "\n".join(lines)

    eventually(lambda: "refused: the volume once held data" in said(), "the refusal")
