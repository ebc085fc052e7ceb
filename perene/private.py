"""Files that belong to the operator alone: directories 0700, files 0600, written whole or not at all."""

import os
from pathlib import Path


def state(root: Path, *parts: str) -> Path:
    """A directory under the checkout's `.perene/`, every level of it private."""
    directory = private_directory(root / ".perene")
    for part in parts:
        directory = private_directory(directory / part)
    return directory


def private_directory(path: Path) -> Path:
    """The directory, made with 0700 if missing and brought to it if it was wider."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes | str) -> None:
    """Write a file with 0600 under another name and rename it, so that a killed run leaves the old one."""
    private_directory(path.parent)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
