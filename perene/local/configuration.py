"""The configuration files of containerd, kubelet, kube-proxy, CNI and DNS, as the node sees its paths."""

import json
from collections.abc import Mapping

from perene.local.layout import INSIDE, NODE_NAME
from perene.local.ranges import Ranges

PAUSE_IMAGE = "perene.local/pause:1"
DOMAIN = "cluster.local"
CONTAINERD = """\
version = 2
root = "{inside}/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lowering a score below the parent's needs CAP_SYS_RESOURCE, which root in a sandbox often lacks.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{inside}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "/usr/sbin/runc"
  SystemdCgroup = false
"""
COREDNS = """\
. {{
    bind {node}
    errors
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {inside}/pki/dns.kubeconfig
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def files(ranges: Ranges, *, control_group: str) -> Mapping[str, str]:
    """Every configuration file by its path under the state directory."""
    return {
        "containerd.toml": CONTAINERD.format(inside=INSIDE, pause=PAUSE_IMAGE),
        "cni/10-perene.conflist": json.dumps(cni(ranges)),
        "kubelet.json": json.dumps(kubelet(ranges, control_group)),
        "proxy.json": json.dumps(proxy(ranges)),
        "Corefile": COREDNS.format(node=ranges.node, domain=DOMAIN, inside=INSIDE),
        "resolv.conf": f"nameserver {ranges.node}\n",
    }


def cni(ranges: Ranges) -> dict[str, object]:
    """A veth pair per pod and addresses from the pod range: enough on one node, and without br_netfilter."""
    address = {"type": "host-local", "ranges": [[{"subnet": str(ranges.pods)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {"cniVersion": "0.4.0", "name": "perene", "plugins": [{"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": address}]}


def kubelet(ranges: Ranges, control_group: str) -> dict[str, object]:
    """The kubelet: own control group, no anonymous access, images never collected (they cannot be pulled again)."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(ranges.node),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{INSIDE}/pki/cluster-ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{INSIDE}/pki/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{INSIDE}/pki/kubelet-server.key",
        "readOnlyPort": 0,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{control_group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "protectKernelDefaults": False,
        "oomScoreAdj": 0,
        "clusterDNS": [str(ranges.node)],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{INSIDE}/resolv.conf",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "volumeStatsAggPeriod": "10s",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "logging": {"format": "text"},
    }


def proxy(ranges: Ranges) -> dict[str, object]:
    """kube-proxy; conntrack's sysctls are not writable in a network namespace, so none is set."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(ranges.pods),
        "hostnameOverride": NODE_NAME,
        "oomScoreAdj": 0,
        "bindAddress": str(ranges.node),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": f"{INSIDE}/pki/proxy.kubeconfig"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
