"""The local cluster's address ranges meet nothing that the host reaches."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perene.errors import PereneError
from perene.local.ranges import POOLS, choose, networks_of

NETWORKS = st.builds(lambda address, prefix: IPv4Network((address, prefix), strict=False), st.integers(0, 2**32 - 1), st.integers(12, 32))


@settings(deadline=None, max_examples=50)  # time is the machine's, not the rule's
@given(taken=st.lists(NETWORKS, max_size=12), instance=st.integers(0, 2**32 - 1).map("{:08x}".format))
def test_the_chosen_block_overlaps_nothing_that_is_taken(taken: list[IPv4Network], instance: str) -> None:
    ranges = choose(instance, taken)
    parts = [ranges.services, ranges.pods, ranges.cable]
    assert not any(part.overlaps(network) for part in parts for network in taken)
    assert all(part.subnet_of(ranges.block) for part in parts), "one block holds all three, so one check suffices"
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    assert {ranges.host, ranges.node} == set(ranges.cable.hosts())


def test_the_second_of_two_checkouts_with_the_same_starting_place_moves_on() -> None:
    first = choose("00000001", [])
    assert not choose("00000001", [first.block]).block.overlaps(first.block)


def test_no_free_range_is_told_with_a_way_out() -> None:
    with pytest.raises(PereneError, match="no free private address range") as caught:
        choose("00000000", POOLS)
    assert "VPN" in str(caught.value)


def test_default_routes_do_not_count_as_taken_also_when_a_vpn_writes_them_as_two_halves() -> None:
    routes = [
        {"dst": "default"},
        {"dst": "0.0.0.0/1"},
        {"dst": "128.0.0.0/1"},
        {"dst": "192.0.2.0/24"},
        {"dst": "10.1.2.3"},
        {"dst": "fe80::/64"},
    ]
    assert networks_of(routes) == {IPv4Network("192.0.2.0/24"), IPv4Network("10.1.2.3/32")}
