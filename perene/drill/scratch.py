"""A PostgreSQL of one's own for a while: in this pod or on this computer, on a socket only, gone afterwards."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from perene.backup import process
from perene.backup.postgres.server import Server
from perene.errors import PereneError

NOBODY = 65534
PREFIX, OWNER = "perene-scratch-", "owner"
# Bytes that its log takes at most, beside the data.
LOG = 4 << 30
# It is thrown away: nothing has to survive a crash of the machine.
SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": f"{LOG >> 20}MB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
    "max_locks_per_transaction": "1024",
    "shared_buffers": "256MB",
    # At least so much for each index that a restore builds; by its own reckoning it asks for more where few are built at once.
    "maintenance_work_mem": "32MB",
    "logging_collector": "off",
}

# Of these, what a live server never has: a drill is faster than a real restore by them, and its record says so.
UNSAFE = {name: SETTINGS[name] for name in ("fsync", "full_page_writes", "synchronous_commit")}


@contextmanager
def scratch(folder: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A running server whose superuser is `admin`. folder: where it may lie (an ephemeral volume); it is removed at the end."""
    _sweep(folder or Path(tempfile.gettempdir()))
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    # PostgreSQL refuses to run as root; as root the server becomes nobody.
    user = NOBODY if os.geteuid() == 0 else None
    data, log = place / "data", place / "log"
    if user is not None:
        os.chown(place, user, user)
    place.chmod(0o755)
    mine = (place / "taken").open("w")
    try:
        # Held for as long as this process lives, and given its name only then: nobody takes a server for left behind while it is made.
        fcntl.flock(mine, fcntl.LOCK_EX)
        (place / "taken").rename(place / OWNER)
        _as(
            user,
            [
                "initdb",
                "--no-sync",
                "--username=admin",
                "--auth=trust",
                "--encoding=UTF8",
                *_locale(),
                "--no-instructions",
                f"--pgdata={data}",
            ],
        )
        chosen = {**SETTINGS, **(settings or {}), "unix_socket_directories": f"'{place}'", "port": "5432"}
        with (data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in chosen.items())
        _as(user, ["pg_ctl", "start", "--wait", "--silent", f"--pgdata={data}", f"--log={log}"], log)
        try:
            yield Server(host=str(place), port=5432, user="admin")
        finally:
            _as(user, ["pg_ctl", "stop", "--mode=immediate", "--wait", "--silent", f"--pgdata={data}"], log)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        mine.close()


def _sweep(folder: Path) -> None:
    """Stop and remove what a process left that was killed: its lock is free."""
    for owner in folder.glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open() as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = owner.parent / "data"
            with suppress(OSError, ValueError, IndexError):
                postmaster = int((data / "postmaster.pid").read_text().split()[0])
                # The number may be another process's by now: a server works in its own data directory.
                if Path(f"/proc/{postmaster}/cwd").samefile(data):
                    os.kill(postmaster, signal.SIGQUIT)
            shutil.rmtree(owner.parent, ignore_errors=True)


def _locale() -> list[str]:
    provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major() >= 17 else []
    return ["--locale=C.UTF-8", *provider]


def major() -> int:
    """The major version of the server that is installed here."""
    return int(process.version("postgres").split()[2].split(".")[0])


def _as(user: int | None, command: list[str], log: Path | None = None) -> None:
    try:
        # pg_ctl's server keeps our pipes open: output goes to nowhere or to the log.
        done = subprocess.run(
            command,
            env=process.environment(),
            user=user,
            group=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if log is None else None,
            check=False,
        )
    except FileNotFoundError:
        raise process.tool_missing(command[0]) from None
    if done.returncode:
        words = log.read_bytes() if log and log.exists() else done.stderr or b""
        failure = process.failed("starting a scratch PostgreSQL", command[0], done.returncode, words)
        raise PereneError(problems=failure.problems)
