"""The node's own view of the file system. Nothing here reaches the host: it vanishes with the node's last process."""

import ctypes
import os
from pathlib import Path

from perene.local.layout import INSIDE
from perene.local.services import COREDNS_PROGRAMS, PROGRAMS

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC = 2, 4, 4096, 16384
# The kubelet writes these host-wide settings unless they already read so; a private copy keeps the host as it is.
PRETENDED = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
_LIBC = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _scratch(target: str) -> None:
    _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")


def enter(state: Path, programs: Path, dns: Path) -> None:
    """Private /run, /var/lib and /var/log; the state and the programs at short fixed paths.

    The directories are opened first: the checkout itself may lie under one of the places that get covered.
    """
    bound = {INSIDE: state, Path(PROGRAMS): programs, Path(COREDNS_PROGRAMS): dns}
    handles = {target: os.open(source, os.O_PATH | os.O_DIRECTORY) for target, source in bound.items()}
    for covered in ("/run", "/var/lib", "/var/log"):
        _scratch(covered)
    for target, handle in handles.items():
        target.mkdir()
        _mount(f"/proc/self/fd/{handle}", str(target), flags=MS_BIND | MS_REC)
        os.close(handle)
    for source, place in ((INSIDE / "kubelet", Path("/var/lib/kubelet")), (INSIDE / "pods", Path("/var/log/pods"))):
        place.mkdir()
        _mount(str(source), str(place), flags=MS_BIND)
    for name in ("/run/netns", "/run/lock", "/run/volumes", "/run/pretended", "/var/lib/cni"):
        Path(name).mkdir()
    for setting, value in PRETENDED.items():
        real, copy = Path("/proc/sys") / setting, Path("/run/pretended") / setting.replace("/", ".")
        if real.exists() and real.read_text().strip() != value:
            copy.write_text(f"{value}\n")
            _mount(str(copy), str(real), flags=MS_BIND)
