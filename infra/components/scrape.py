"""Who collects the figures of a pod, and how it is told: by annotation, the Prometheus Operator, or Google's managed collection.

A figure's own labels (`namespace`, `pod`, `container`) say what it is about. Where the collector would put the scraped pod's there instead,
it is told to leave them; whoever scrapes by annotation sets `honor_labels: true`.

Produces the following resources:
    PodMonitor <name>, or PodMonitoring <name> (the figures are then custom metrics of Cloud Monitoring under the same names)
"""

from collections.abc import Mapping
from typing import Any, Literal

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicyPeerArgs

Collector = Literal["annotations", "operator", "google"]
EVERY = "30s"
PORT_NAME = "metrics"
SCRAPES = "perene.dev/scrapes"
# collector -> (apiVersion, kind, the part of the spec beside the selector)
_KINDS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "operator": (
        "monitoring.coreos.com/v1",
        "PodMonitor",
        {"podMetricsEndpoints": [{"port": PORT_NAME, "interval": EVERY, "honorLabels": True}]},
    ),
    "google": (
        "monitoring.googleapis.com/v1",
        "PodMonitoring",
        {"targetLabels": {"metadata": []}, "endpoints": [{"port": PORT_NAME, "interval": EVERY}]},
    ),
}


def peers() -> list[NetworkPolicyPeerArgs]:
    """Who may come to scrape: the collectors by the names that they have everywhere, and whoever says so in a label; in any namespace."""
    known = LabelSelectorRequirementArgs(key="app.kubernetes.io/name", operator="In", values=["prometheus", "collector"])
    return [
        NetworkPolicyPeerArgs(namespace_selector=LabelSelectorArgs(), pod_selector=LabelSelectorArgs(match_expressions=[known])),
        NetworkPolicyPeerArgs(namespace_selector=LabelSelectorArgs(), pod_selector=LabelSelectorArgs(match_labels={SCRAPES: "true"})),
    ]


def annotations(port: int) -> dict[str, str]:
    """What says on a pod that it is to be scraped."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}


def collected(
    name: str, collector: Collector, *, metadata: ObjectMetaArgs, selector: Mapping[str, str], opts: pulumi.ResourceOptions
) -> CustomResource | None:
    """The object that tells the collector about the pods with these labels, whose port is named `metrics`; None by annotation."""
    if collector == "annotations":
        return None
    api, kind, rest = _KINDS[collector]
    spec = {"selector": {"matchLabels": dict(selector)}, **rest}
    return CustomResource(name, api_version=api, kind=kind, metadata=metadata, spec=spec, opts=opts)
