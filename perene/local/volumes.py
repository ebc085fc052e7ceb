"""Volumes of a real size: an XFS image file per claim, so that full is full, metrics are true and growth happens."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from perene.local.api import Api, ApiError, Object
from perene.local.layout import INSIDE, NODE_NAME
from perene.local.quantity import of_bytes, to_bytes

STORAGE_CLASS = "perene-local"
PROVISIONER = "perene.dev/local"
MINIMUM = 300 * 2**20  # below this mkfs.xfs refuses
MOUNTS = Path("/run/volumes")
IMAGES = INSIDE / "volumes"
OPTIONS = "loop,noatime,nosuid,nodev,discard"


class RefusedError(Exception):
    """A claim that cannot be served; the text becomes an event on it."""


class Volumes:
    """Makes, mounts and grows volumes for the claims of the class `perene-local`."""

    def __init__(self, api: Api, log: Callable[[str], None]) -> None:
        self.api, self.log = api, log
        self.told: dict[str, str] = {}

    def mount_all(self) -> None:
        """Mount every image there is, before the kubelet starts."""
        for image in sorted(IMAGES.glob("*.img")):
            mount(image)

    def run(self, stopping: threading.Event) -> None:
        """Look at all claims once a second until told to stop; the API server may be away at any time."""
        while not stopping.wait(1):
            try:
                self.reconcile()
            except OSError as error:
                self.log(f"volumes: {error}")
            except ApiError as error:
                self.log(f"volumes: {error}")

    def reconcile(self) -> None:
        """One pass over the claims; a claim that fails does not stop the others."""
        for claim in self.api.get("/api/v1/persistentvolumeclaims?resourceVersion=0")["items"]:
            if claim["spec"].get("storageClassName") != STORAGE_CLASS or claim["metadata"].get("deletionTimestamp"):
                continue
            try:
                self.serve(claim)
            except (RefusedError, subprocess.CalledProcessError) as error:
                cause = getattr(error, "stderr", None) or str(error)
                self.complain(claim, str(cause).strip())

    def serve(self, claim: Object) -> None:
        """Give a new claim its volume, and a bound one the size it asks for."""
        wanted = max(MINIMUM, to_bytes(claim["spec"]["resources"]["requests"]["storage"]))
        phase = claim.get("status", {}).get("phase", "Pending")
        if phase == "Pending" and not claim["spec"].get("volumeName"):
            self.provision(claim, wanted)
        elif phase == "Bound" and wanted > to_bytes(claim["status"]["capacity"]["storage"]):
            self.grow(claim, wanted)

    def provision(self, claim: Object, size: int) -> None:
        """Image, file system, mount, PersistentVolume: each step finds what an interrupted one left."""
        if claim["spec"].get("volumeMode", "Filesystem") != "Filesystem" or claim["spec"].get("dataSource"):
            raise RefusedError(f"{STORAGE_CLASS} makes empty file systems only: no Block mode, no dataSource")
        if set(claim["spec"]["accessModes"]) - {"ReadWriteOnce", "ReadWriteOncePod"}:
            raise RefusedError(f"{STORAGE_CLASS} offers ReadWriteOnce and ReadWriteOncePod only")
        name = f"pvc-{claim['metadata']['uid']}"
        image = IMAGES / f"{name}.img"
        if not image.exists():
            require_space(size)
            part = image.with_suffix(".part")
            part.unlink(missing_ok=True)
            part.touch(mode=0o600)
            command("truncate", "-s", str(size), str(part))
            command("mkfs.xfs", "-q", str(part))
            part.replace(image)
        mount(image)
        try:
            self.api.call("POST", "/api/v1/persistentvolumes", persistent_volume(name, claim, image.stat().st_size))
            self.log(f"volumes: made {name} of {of_bytes(size)} for {label(claim)}")
        except ApiError as error:
            if error.status != 409:
                raise

    def grow(self, claim: Object, size: int) -> None:
        """Enlarge image, loop device and file system while mounted; then the claim's status and the volume say so."""
        name = claim["spec"]["volumeName"]
        image = IMAGES / f"{name}.img"
        if not image.exists():
            raise RefusedError(f"{name} is no volume of this node")
        if image.stat().st_size < size:
            require_space(size - image.stat().st_size)
            command("truncate", "-s", str(size), str(image))
        mount(image)
        command("losetup", "-c", command("findmnt", "-n", "-o", "SOURCE", str(MOUNTS / name)).strip())
        command("xfs_growfs", str(MOUNTS / name))
        capacity = {"capacity": {"storage": of_bytes(size)}}
        namespace, own = claim["metadata"]["namespace"], claim["metadata"]["name"]
        self.api.merge(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{own}/status", {"status": capacity})
        self.api.merge(f"/api/v1/persistentvolumes/{name}", {"spec": capacity})
        self.log(f"volumes: grew {name} to {of_bytes(size)} for {label(claim)}")

    def complain(self, claim: Object, message: str) -> None:
        """An event on the claim and a line in the log, once per message."""
        uid = claim["metadata"]["uid"]
        if self.told.get(uid) == message:
            return
        self.told[uid] = message
        self.log(f"volumes: {label(claim)}: {message}")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        namespace = claim["metadata"]["namespace"]
        event = {
            "metadata": {"generateName": f"{claim['metadata']['name']}-", "namespace": namespace},
            "involvedObject": {
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                "namespace": namespace,
                "name": claim["metadata"]["name"],
                "uid": uid,
            },
            "type": "Warning",
            "reason": "VolumeRefused",
            "message": message,
            "source": {"component": PROVISIONER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self.api.call("POST", f"/api/v1/namespaces/{namespace}/events", event)


def persistent_volume(name: str, claim: Object, size: int) -> Object:
    """The PersistentVolume of one image. `local`, not `hostPath`: only then does fsGroup apply."""
    metadata = claim["metadata"]
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}]}]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": of_bytes(size)},
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(MOUNTS / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }


def mount(image: Path) -> None:
    """Mount an image at its place, if it is not mounted."""
    place = MOUNTS / image.stem
    if not place.is_mount():
        place.mkdir(exist_ok=True)
        command("mount", "-t", "xfs", "-o", OPTIONS, str(image), str(place))


def require_space(size: int) -> None:
    """RefusedError unless the disk under the images has `size` bytes free: an image that outgrows its disk fails inside the database."""
    free = int(command("stat", "-f", "-c", "%a", str(IMAGES))) * int(command("stat", "-f", "-c", "%S", str(IMAGES)))
    if free < size:
        raise RefusedError(f"{of_bytes(size)} wanted, {of_bytes(free)} free on the disk of .perene/local: free some, or ask for less")


def command(*arguments: str) -> str:
    """Run one tool; stdout. CalledProcessError with stderr."""
    return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120).stdout


def label(claim: Object) -> str:
    """`namespace/name`."""
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
