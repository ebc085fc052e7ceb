"""What the cluster's own parts show about NetworkPolicies."""

import pytest

from perene.health.network import ENFORCERS, enforcement
from tests.health.cluster import FakeApi


def cluster(*daemon_sets: str) -> FakeApi:
    return FakeApi({"/apis/apps/v1/daemonsets": {"items": [{"metadata": {"name": name}} for name in daemon_sets]}})


@pytest.mark.parametrize("part", ENFORCERS)
def test_a_network_that_enforces_is_named(part: str) -> None:
    assert f"enforced by {ENFORCERS[part]}" in enforcement(cluster("kube-proxy", f"{part}-x1"))


def test_a_cluster_without_one_is_said_not_to_enforce() -> None:
    assert "NOT enforced" in enforcement(cluster("kube-proxy"))
