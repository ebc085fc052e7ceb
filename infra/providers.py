"""Explicit providers only, with the options that decide what is replaced set once, here."""

import pulumi_kubernetes as kubernetes

from infra.config.model import Cluster, Tier


def cluster(tier: Tier) -> kubernetes.Provider:
    """The Kubernetes provider of the tier.

    cluster_identifier: a changed kubeconfig or context must never replace the provider and with it all resources.
    Mutable ConfigMaps and Secrets: a changed value is an update; replacing by name would delete first.
    """
    return kubernetes.Provider(
        "cluster",
        context=_context(tier.cluster),
        namespace=tier.cluster.namespace,
        cluster_identifier=f"{tier.system}-{tier.environment}",
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        enable_server_side_apply=True,
        delete_unreachable=False,
    )


def _context(cluster: Cluster) -> str | None:
    # A local cluster is found by `make up`, which hands its kubeconfig over; every other one is named.
    return None if cluster.kind == "local" else cluster.context
