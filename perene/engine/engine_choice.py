"""Which way a program is applied: the CLI on PATH, the pinned CLI where it can be had, or embedded. Always with the reason."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from perene.errors import PereneError
from perene.exit_codes import ExitCode

Way = Literal["cli", "embedded"]


@dataclass(frozen=True)
class Engine:
    """A way, why it was taken, and the CLI's program."""

    way: Way
    reason: str
    program: str = "pulumi"


def choose(root: Path, wish: str | None) -> Engine:
    """The engine. wish: `cli` or `embedded` when the caller insists; PereneError (exit 3) when that cannot be had."""
    if wish == "embedded":
        return Engine("embedded", "it was asked for")
    found = _on_path() or _installed(root)
    if isinstance(found, Engine):
        return found
    if wish == "cli":
        raise PereneError(
            f"there is no Pulumi CLI: {found}", fix="install it: https://www.pulumi.com/docs/install/", exit_code=ExitCode.CANNOT_TELL
        )
    return Engine("embedded", f"pulumi is not on PATH and could not be installed ({found})")


def _on_path() -> Engine | None:
    if not shutil.which("pulumi"):
        return None
    done = subprocess.run(["pulumi", "version"], capture_output=True, text=True, timeout=60, check=False)
    return Engine("cli", f"pulumi {done.stdout.strip()} is on PATH") if done.returncode == 0 else None


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
