"""What a stopped or killed cluster left on the host: recognised as its own by derived names, and removed; nothing else is."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from perene.errors import PereneError
from perene.local import control_groups, network
from perene.local.layout import Layout
from perene.local.processes import Process, load, marked

LOOP_COLUMNS = "NAME,BACK-INO,BACK-MAJ:MIN"


def own_processes(layout: Layout) -> list[Process]:
    """The recorded process, and strays that carry the instance's mark (an `up` killed before it could record)."""
    recorded = load(layout.process_file)
    found = marked(layout.instance)
    return found + ([recorded] if recorded and recorded.alive() and recorded not in found else [])


def own_loop_devices(listing: str, volumes: Path) -> list[str]:
    """Loop devices over images of this cluster, from `losetup --json --list` with the columns of LOOP_COLUMNS.

    By device and inode: losetup tells the path as the node saw it, which is the same for every checkout.
    """
    files = [image.stat() for image in volumes.iterdir()] if volumes.exists() else []
    own = {(f"{os.major(file.st_dev)}:{os.minor(file.st_dev)}", file.st_ino) for file in files}
    devices = json.loads(listing or "{}").get("loopdevices", [])
    return [device["name"] for device in devices if (device["back-maj:min"].strip(), int(device["back-ino"])) in own]


def clean(layout: Layout) -> None:
    """Kill what runs, and remove link, routes, control groups and loop devices. Data stays."""
    for process in own_processes(layout):
        process.signal(signal.SIGKILL)
    for process in own_processes(layout):
        process.wait(10)
    network.unplug(layout)
    control_groups.remove(layout.name)
    for device in own_loop_devices(_loop_devices(), layout.volumes):
        subprocess.run(["losetup", "--detach", device], capture_output=True, check=False)
    layout.process_file.unlink(missing_ok=True)
    layout.status_file.unlink(missing_ok=True)


def remains(layout: Layout) -> list[str]:
    """Everything of this cluster that the host still holds, in words."""
    links = [link["ifname"] for link in network.links() if link["ifname"] == layout.link]
    return [
        *(f"process {process.pid}" for process in own_processes(layout)),
        *(f"link {link}" for link in links),
        *(f"control group {path}" for path in control_groups.left(layout.name)),
        *(f"loop device {device}" for device in own_loop_devices(_loop_devices(), layout.volumes)),
    ]


def erase(layout: Layout) -> None:
    """Remove the data too. PereneError when a mount lies under it: removing would reach through."""
    inside = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4].startswith(f"{layout.state}/")
    ]
    if inside:
        raise PereneError(f"something is mounted under {layout.state}: {', '.join(inside)}", fix=f"umount {' '.join(inside)}")
    if layout.state.exists():
        shutil.rmtree(layout.state)
    layout.registry_entry.unlink(missing_ok=True)


def _loop_devices() -> str:
    if shutil.which("losetup") is None:
        return ""
    return subprocess.run(["losetup", "--json", "--list", "--output", LOOP_COLUMNS], capture_output=True, text=True, check=False).stdout
