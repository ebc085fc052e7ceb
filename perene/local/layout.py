"""Where a local cluster of one checkout keeps its things, and the names derived from the checkout's path."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

NODE_NAME = "perene-local"
NODE_DEVICE = "node0"  # the end of the cable inside the node
INSIDE = Path("/run/perene")  # the state directory as the node sees it: short, because a socket's path may have 107 bytes


def cache_directory() -> Path:
    """What every checkout shares: built programs and images (`$XDG_CACHE_HOME/perene`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perene"


@dataclass(frozen=True)
class Layout:
    """All paths and host-wide names of the cluster that belongs to the checkout at `root`."""

    root: Path

    @property
    def instance(self) -> str:
        """Eight hexadecimal digits of the checkout's real path: two checkouts never share a name."""
        return hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The cluster's name: kube context, control group, and what `destroy` wants typed."""
        return f"perene-{self.instance}"

    @property
    def link(self) -> str:
        """The host's end of the cable to the node (15 characters at most)."""
        return f"pn{self.instance}"

    @property
    def private(self) -> Path:
        """`.perene` of the checkout."""
        return self.root.resolve() / ".perene"

    @property
    def state(self) -> Path:
        """Everything of the cluster: keys, etcd, images, volumes, logs."""
        return self.private / "local"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (mode 0600)."""
        return self.state / "kubeconfig"

    @property
    def node_file(self) -> Path:
        """What the node is started with: ranges and program directories."""
        return self.state / "node.json"

    @property
    def process_file(self) -> Path:
        """The running node's process."""
        return self.state / "process.json"

    @property
    def status_file(self) -> Path:
        """What the node waits for at the moment (written by the node)."""
        return self.state / "status.json"

    @property
    def keys(self) -> Path:
        """Certificates, keys and kubeconfigs of the components."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.state / "logs"

    @property
    def volumes(self) -> Path:
        """One image file per volume."""
        return self.state / "volumes"

    @property
    def registry_entry(self) -> Path:
        """Where the chosen ranges are known to the machine's other checkouts."""
        return cache_directory() / "instances" / f"{self.instance}.json"

    def make(self) -> None:
        """Create the private directories (0700)."""
        for path in (
            self.private,
            self.state,
            self.keys,
            self.logs,
            self.volumes,
            *(self.state / sub for sub in ("containerd", "etcd", "kubelet", "pods")),
        ):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file of mode 0600 so that a reader sees the old content or the new, never half of it."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text.encode() if isinstance(text, str) else text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
