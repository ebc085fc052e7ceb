"""The node's processes as a table: what runs, with which arguments, and how one sees that it answers."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from perene.local.api import Api
from perene.local.layout import INSIDE, NODE_NAME
from perene.local.ranges import Ranges

KEYS = f"{INSIDE}/pki"
PROGRAMS = "/run/perene-programs"
COREDNS_PROGRAMS = "/run/perene-dns"


@dataclass(frozen=True)
class Service:
    """One process: its name (and log), arguments, and how one sees that others may use it (None: nothing waits for it)."""

    name: str
    arguments: tuple[str, ...]
    answers: Callable[[Api], bool] | None = None


def accepts(place: tuple[str, int] | str) -> Callable[[Api], bool]:
    """A check that something accepts connections at an address or a socket file."""

    def check(_: Api) -> bool:
        kind = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            return probe.connect_ex(place) == 0

    return check


def services(ranges: Ranges) -> tuple[Service, ...]:
    """In the order of starting. A service with `answers` is waited for before the next starts."""
    node = str(ranges.node)
    return (
        Service("containerd", ("containerd", "--config", f"{INSIDE}/containerd.toml"), accepts("/run/containerd/containerd.sock")),
        Service("etcd", _etcd(), accepts(("127.0.0.1", 2379))),
        # Not an open port: until Kubernetes' own RBAC rules are there, the controller manager is refused and exits.
        Service("kube-apiserver", _apiserver(ranges), Api.ready),
        Service("kube-controller-manager", _controller_manager(ranges)),
        Service("kube-scheduler", _scheduler()),
        Service(
            "kubelet",
            (
                f"{PROGRAMS}/kubelet",
                f"--config={INSIDE}/kubelet.json",
                f"--kubeconfig={KEYS}/kubelet.kubeconfig",
                f"--hostname-override={NODE_NAME}",
                f"--node-ip={node}",
                "--root-dir=/var/lib/kubelet",
            ),
        ),
        Service("kube-proxy", (f"{PROGRAMS}/kube-proxy", f"--config={INSIDE}/proxy.json")),
        Service("coredns", (f"{COREDNS_PROGRAMS}/coredns", "-conf", f"{INSIDE}/Corefile")),
    )


def _etcd() -> tuple[str, ...]:
    client, peer = "https://127.0.0.1:2379", "https://127.0.0.1:2380"
    return (
        "etcd",
        "--name=perene",
        f"--data-dir={INSIDE}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=perene={peer}",
        f"--cert-file={KEYS}/etcd.crt",
        f"--key-file={KEYS}/etcd.key",
        f"--trusted-ca-file={KEYS}/etcd-ca.crt",
        "--client-cert-auth",
        f"--peer-cert-file={KEYS}/etcd.crt",
        f"--peer-key-file={KEYS}/etcd.key",
        f"--peer-trusted-ca-file={KEYS}/etcd-ca.crt",
        "--peer-client-cert-auth",
    )


def _apiserver(ranges: Ranges) -> tuple[str, ...]:
    return (
        f"{PROGRAMS}/kube-apiserver",
        f"--bind-address={ranges.node}",
        f"--advertise-address={ranges.node}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={ranges.services}",
        "--etcd-servers=https://127.0.0.1:2379",
        f"--etcd-cafile={KEYS}/etcd-ca.crt",
        f"--etcd-certfile={KEYS}/apiserver-etcd.crt",
        f"--etcd-keyfile={KEYS}/apiserver-etcd.key",
        f"--encryption-provider-config={KEYS}/encryption.json",
        f"--client-ca-file={KEYS}/cluster-ca.crt",
        f"--tls-cert-file={KEYS}/apiserver.crt",
        f"--tls-private-key-file={KEYS}/apiserver.key",
        f"--kubelet-certificate-authority={KEYS}/cluster-ca.crt",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name resolves nowhere
        f"--kubelet-client-certificate={KEYS}/apiserver-kubelet.crt",
        f"--kubelet-client-key={KEYS}/apiserver-kubelet.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={KEYS}/service-account.pub",
        f"--service-account-signing-key-file={KEYS}/service-account.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        "--allow-privileged=false",
        "--profiling=false",
    )


def _controller_manager(ranges: Ranges) -> tuple[str, ...]:
    own = f"{KEYS}/controller-manager.kubeconfig"
    return (
        f"{PROGRAMS}/kube-controller-manager",
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        "--bind-address=127.0.0.1",
        f"--cluster-cidr={ranges.pods}",
        f"--root-ca-file={KEYS}/cluster-ca.crt",
        f"--service-account-private-key-file={KEYS}/service-account.key",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--profiling=false",
    )


def _scheduler() -> tuple[str, ...]:
    own = f"{KEYS}/scheduler.kubeconfig"
    return (
        f"{PROGRAMS}/kube-scheduler",
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    )
