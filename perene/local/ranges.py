"""Address ranges that meet nothing the host already reaches."""

import json
import socket
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import registries

POOLS = tuple(IPv4Network(text) for text in ("10.128.0.0/9", "172.16.0.0/12", "10.0.0.0/9", "198.18.0.0/15"))
BLOCK = 22


@dataclass(frozen=True)
class Ranges:
    """One /22: a /24 of services, a /24 of pods and a /30 between host and node."""

    block: IPv4Network

    @property
    def services(self) -> IPv4Network:
        """ClusterIPs."""
        return next(self.block.subnets(new_prefix=24))

    @property
    def pods(self) -> IPv4Network:
        """Pod addresses."""
        return list(self.block.subnets(new_prefix=24))[1]

    @property
    def cable(self) -> IPv4Network:
        """The two ends of the cable between host and node."""
        return next(list(self.block.subnets(new_prefix=24))[2].subnets(new_prefix=30))

    @property
    def host(self) -> IPv4Address:
        """The host's end."""
        return self.cable[1]

    @property
    def node(self) -> IPv4Address:
        """The node's end: API server, kubelet and DNS listen here."""
        return self.cable[2]

    @property
    def kubernetes_service(self) -> IPv4Address:
        """The first service address, which the API server's certificate names."""
        return self.services[1]


def candidates(instance: str) -> Iterator[IPv4Network]:
    """Every /22 of the pools, each pool from a place that depends on the instance, so that two checkouts start apart."""
    for pool in POOLS:
        count = 2 ** (BLOCK - pool.prefixlen)
        start = int(instance, 16) % count
        for index in range(count):
            yield IPv4Network((int(pool.network_address) + ((start + index) % count) * 2 ** (32 - BLOCK), BLOCK))


def choose(instance: str, taken: Iterable[IPv4Network]) -> Ranges:
    """The first candidate block that overlaps nothing in `taken`. PereneError when there is none."""
    occupied = tuple(taken)
    for block in candidates(instance):
        if not any(block.overlaps(network) for network in occupied):
            return Ranges(block)
    raise PereneError(
        "no free private address range is left for the local cluster",
        why=f"every /{BLOCK} of {', '.join(map(str, POOLS))} overlaps a route, a resolver, a registry or another checkout's cluster",
        fix="look at `ip route show table all`; a route for all of 10.0.0.0/8 and 172.16.0.0/12 is usually a VPN: disconnect it",
        exit_code=ExitCode.CANNOT_TELL,
    )


def networks_of(routes: Iterable[dict[str, object]]) -> set[IPv4Network]:
    """The destinations of `ip -j route show table all`, without default routes (a VPN writes its as two halves, /1)."""
    found = set()
    for route in routes:
        text = str(route.get("dst", "default"))
        if text != "default" and ":" not in text:
            network = IPv4Network(text, strict=False)
            found |= {network} if network.prefixlen > 1 else set()
    return found


def host_routes(*, without_link: str = "") -> set[IPv4Network]:
    """What this host reaches now, apart from the routes over one link (a cluster's own)."""
    text = subprocess.run(["ip", "-j", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    return networks_of(route for route in json.loads(text or "[]") if route.get("dev") != without_link)


def well_known() -> set[IPv4Network]:
    """The resolvers of this host and where the package registries live, as single addresses."""
    found = set()
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and ":" not in words[1]:
            found.add(IPv4Network(words[1]))
    # A collision with a registry cuts the machine off its own downloads, so their addresses count as taken.
    for name in registries.hosts():
        try:
            found |= {IPv4Network(str(answer[4][0])) for answer in socket.getaddrinfo(name, 443, socket.AF_INET)}
        except OSError:
            continue  # a registry that does not resolve cannot be cut off
    return found
