"""Whether the cluster does what NetworkPolicies say: the API accepts them everywhere, and only some networks enforce them."""

from perene.health.kube import Api, items

# Part of a DaemonSet's name: the network that enforces policies there. Source: each project's own manifests, November 2026.
ENFORCERS = {
    "calico-node": "Calico",
    "cilium": "Cilium",
    "anetd": "GKE Dataplane V2",
    "antrea-agent": "Antrea",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
    "kube-network-policies": "kube-network-policies",
    "kindnet": "kindnet (enforces from kind 0.24 on)",
    "aws-node": "the AWS network plugin (only with its policy agent enabled)",
}


def enforcement(api: Api) -> str:
    """One sentence on whether NetworkPolicies hold here, as far as the cluster's own DaemonSets show it."""
    running = [item["metadata"]["name"] for item in items(api, "/apis/apps/v1/daemonsets")]
    found = sorted({network for name in running for part, network in ENFORCERS.items() if part in name})
    if found:
        return f"NetworkPolicies are enforced by {', '.join(found)}.\n"
    return (
        "NetworkPolicies are NOT enforced as far as can be seen: nothing that does so runs here. "
        "Every pod of the cluster reaches every store; passwords and TLS are what keeps it out.\n"
    )
