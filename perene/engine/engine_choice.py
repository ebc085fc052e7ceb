"""Which way a program is applied: the CLI on PATH, the pinned CLI where it can be had, or embedded. Always with the reason."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from perene.engine import built
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import state, write_private

Way = Literal["cli", "embedded"]


@dataclass(frozen=True)
class Engine:
    """A way, why it was taken, and the CLI's program."""

    way: Way
    reason: str
    program: str = "pulumi"


def choose(root: Path, stack: str, wish: str | None = None) -> Engine:
    """The engine of a stack: the one that brought it up, else the CLI where it can be had. wish: the caller insists.

    PereneError (exit 3) when the stack was brought up the other way, or the CLI that is needed cannot be had.
    """
    before = recorded(root, stack)
    if before and wish and wish != before:
        raise PereneError(
            f"{stack} was brought up {_said(before)}, not {_said(wish)}",
            why="the other way knows nothing of what exists",
            fix=f"perene adopt-state {stack}" if before == "embedded" else "leave --engine out",
            exit_code=ExitCode.CANNOT_TELL,
        )
    if wish == "embedded":
        return Engine("embedded", "it was asked for")
    if before == "embedded":
        return Engine("embedded", f"{stack} was brought up that way (perene adopt-state {stack} moves it to the Pulumi CLI)")
    found = cli(root)
    if isinstance(found, Engine):
        return found
    if wish == "cli" or before == "cli":
        raise PereneError(
            f"there is no Pulumi CLI: {found}",
            why="the stack's state is with it" if before else "",
            fix="install it: https://www.pulumi.com/docs/install/, or build it: perene engine",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return Engine("embedded", f"pulumi is not on PATH and could not be installed ({found}); `perene engine` builds it")


def recorded(root: Path, stack: str) -> str | None:
    """The way that brought a stack up in this checkout, or None."""
    file = _file(root, stack)
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


def record(root: Path, stack: str, way: Way) -> None:
    """From now on the stack is applied this way."""
    state(root, "stacks", stack)
    write_private(_file(root, stack), way + "\n")


def forget(root: Path, stack: str) -> None:
    """The stack is gone: the next one may be brought up either way."""
    _file(root, stack).unlink(missing_ok=True)


def cli(root: Path) -> Engine | str:
    """The CLI on PATH, the one that was built here, or the one that is pinned; or why there is none."""
    on_path = shutil.which("pulumi")
    if on_path and Path(on_path) != built.TYPED_AS:
        done = subprocess.run([on_path, "version"], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return Engine("cli", f"pulumi {done.stdout.strip()} is on PATH")
    if program := built.program(root):
        return Engine("cli", "perene engine has built it", str(program))
    return _installed(root)


def _installed(root: Path) -> Engine | str:
    """The CLI of the SDK's own version, installed under .perene/ by the Automation API; or why that did not work."""
    home = root / ".perene" / "cli"
    program = home / "bin" / "pulumi"
    if program.exists():
        return Engine("cli", "the pinned CLI was installed before", str(program))
    from pulumi.automation import PulumiCommand  # noqa: PLC0415 - a second of imports that most runs do not need

    try:
        made = PulumiCommand.install(root=str(home))
    except Exception as failure:  # noqa: BLE001 - whatever the installer meets means the same: there is no CLI
        return str(failure).strip().splitlines()[-1] if str(failure).strip() else type(failure).__name__
    return Engine("cli", "the pinned CLI was installed", str(made.command))


def _said(way: str) -> str:
    return {"cli": "through the Pulumi CLI", "embedded": "the embedded way"}[way]


def _file(root: Path, stack: str) -> Path:
    return root / ".perene" / "stacks" / stack / "way"
