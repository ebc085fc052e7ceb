"""The host's end of the cable to the node, and the routes over it. Both vanish with the node's network namespace."""

import json
import shutil
import subprocess
from typing import Any

from perene.local.layout import NODE_DEVICE, Layout
from perene.local.ranges import Ranges


def ip(*arguments: str) -> str:
    """iproute2; stdout. CalledProcessError with stderr."""
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def plug(layout: Layout, ranges: Ranges, process: int) -> None:
    """Join host and node, and route the service and pod ranges through the node: no proxy is needed to reach a ClusterIP."""
    link = layout.link
    ip("link", "add", link, "type", "veth", "peer", "name", NODE_DEVICE, "netns", str(process))
    ip("link", "set", link, "alias", layout.name)
    ip("addr", "add", f"{ranges.host}/30", "dev", link)
    ip("link", "set", link, "up")
    for network in (ranges.services, ranges.pods):
        ip("route", "add", str(network), "via", str(ranges.node), "dev", link)


def links() -> list[dict[str, Any]]:
    """The host's links. None without iproute2: then no cluster was ever made here."""
    found: list[dict[str, Any]] = json.loads(ip("-j", "link", "show") or "[]") if shutil.which("ip") else []
    return found


def unplug(layout: Layout) -> None:
    """Remove the link, when it is there and ours by its alias."""
    for link in links():
        if link["ifname"] == layout.link and link.get("ifalias", layout.name) == layout.name:
            ip("link", "delete", layout.link)
