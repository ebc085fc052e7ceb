"""Stopping a tier's servers in the cluster for a while, with their volumes left alone, and starting them again."""

import time
from collections.abc import Callable, Mapping

from perene.contract.tier import Store, TierDocument
from perene.engine.kubectl import Kubectl
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# A busy keep-alive client holds a Qdrant for half a minute; RabbitMQ takes its time to come back.
STOP_SECONDS, START_SECONDS = 180, 300


def stoppable(tier: TierDocument, names: tuple[str, ...]) -> dict[str, Store]:
    """The stores of these names (none: all that run in the cluster). PereneError (exit 2) for one that is unknown or runs elsewhere."""
    unknown = [name for name in names if name not in tier.stores]
    elsewhere = [name for name in names if name in tier.stores and not tier.stores[name].workload]
    if unknown or elsewhere:
        raise PereneError(
            f"there is no store {', '.join(unknown)}" if unknown else f"{', '.join(elsewhere)} does not run in the cluster",
            fix=f"stores that can be stopped: {', '.join(name for name, store in tier.stores.items() if store.workload) or 'none'}",
            exit_code=ExitCode.USAGE,
        )
    return {name: store for name, store in tier.stores.items() if store.workload and (not names or name in names)}


def stop(client: Kubectl, namespace: str, stores: Mapping[str, Store]) -> None:
    """Scale each server to none and wait until its pod is gone. Claims stay: only the pods go."""
    _scale(client, namespace, stores, 0)
    _wait(stores, lambda workload: client.get("pod", f"{workload}-0", namespace) is None, STOP_SECONDS, "has not stopped")


def start(client: Kubectl, namespace: str, stores: Mapping[str, Store]) -> None:
    """Scale each server to one and wait until it is ready."""
    _scale(client, namespace, stores, 1)
    _wait(stores, lambda workload: _ready(client, namespace, workload), START_SECONDS, "is not ready")


def missing_claims(client: Kubectl, namespace: str, stores: Mapping[str, Store]) -> list[str]:
    """Claims of the stores that are not there, or not bound to a volume."""
    wanted = {store.volume.claim for store in stores.values() if store.volume}
    there = {one["metadata"]["name"]: one for one in client.find(["persistentvolumeclaims"], namespace=namespace)}
    return sorted(name for name in wanted if there.get(name, {}).get("status", {}).get("phase") != "Bound")


def _scale(client: Kubectl, namespace: str, stores: Mapping[str, Store], replicas: int) -> None:
    for store in stores.values():
        client.run("scale", f"statefulset/{store.workload}", f"--replicas={replicas}", "--namespace", namespace)


def _ready(client: Kubectl, namespace: str, workload: str) -> bool:
    pod = client.get("pod", f"{workload}-0", namespace) or {}
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", []))


def _wait(stores: Mapping[str, Store], done: Callable[[str], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    left = [name for name, store in stores.items() if not done(str(store.workload))]
    while left:
        if time.monotonic() > end:
            raise PereneError(f"{', '.join(left)} {what} after {seconds:.0f} s", fix="perene health says why; run the same command again")
        time.sleep(0.5)
        left = [name for name in left if not done(str(stores[name].workload))]
