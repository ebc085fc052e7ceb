"""Pulumi's CLI and its Kubernetes provider for this checkout, built from their Go modules where no CLI can be had."""

import os
import secrets
import shutil
import sys
from pathlib import Path

from perene.local import binaries
from perene.local.progress import Progress
from perene.private import private_directory, state, write_private

HOST = "pulumi-language-python"
TYPED_AS = Path(sys.executable).with_name("pulumi")
# What a person types: the CLI with the checkout's state and passphrase, unless the environment names others.
TYPED = """\
#!/bin/sh
# Written by `perene engine`: Pulumi's CLI as this checkout has it.
PATH="{programs}:$PATH"
: "${{PULUMI_BACKEND_URL:=file://{root}/.perene/state}}"
: "${{PULUMI_SKIP_UPDATE_CHECK:=true}}" "${{PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION:=true}}"
[ -n "$PULUMI_CONFIG_PASSPHRASE" ] || : "${{PULUMI_CONFIG_PASSPHRASE_FILE:={root}/.perene/passphrase}}"
export PATH PULUMI_BACKEND_URL PULUMI_SKIP_UPDATE_CHECK PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION PULUMI_CONFIG_PASSPHRASE_FILE
exec "{programs}/pulumi" "$@"
"""


def program(root: Path) -> Path | None:
    """The CLI that `have` put there, None before."""
    found = _programs(root) / "pulumi"
    return found if found.exists() else None


def have(root: Path, progress: Progress) -> Path:
    """The CLI, built unless this machine has it already (a quarter of an hour, once), with the provider, and `pulumi` beside this Python.

    PereneError when something does not build; what was built is kept.
    """
    programs, logs = _programs(root), state(root, "logs")
    private_directory(programs)
    for name in (binaries.PULUMI, binaries.PROVIDER):
        built = binaries.ensure(name, logs / f"build-{name}.log", progress)
        for each in binaries.PROGRAMS[name]:
            _placed(built / each, programs / each)
    private_directory(root / ".perene" / "state")
    passphrase(root)
    # Beside the CLI, which looks for it there.
    _script(programs / HOST, f"#!{sys.executable}\nfrom perene.engine.language_host import main\n\nmain()\n")
    _script(TYPED_AS, TYPED.format(programs=programs, root=root.resolve()))
    return programs / "pulumi"


def passphrase(root: Path) -> Path:
    """The file with the passphrase of the checkout's own state; made once."""
    file = root / ".perene" / "passphrase"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32))
    return file


def _programs(root: Path) -> Path:
    return root.resolve() / ".perene" / "engine"


def _placed(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where that is another file system."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        beside.hardlink_to(source)
    except OSError:
        shutil.copy(source, beside)
    beside.replace(target)


def _script(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o755)
    beside.replace(path)
