"""What an approval binds, taken from the checkout and the stack at one moment."""

import hashlib
import importlib.metadata
import subprocess
from pathlib import Path

from perene.contract.approval import ChangeApproval
from perene.engine.change import Stack
from perene.engine.stacks import stack_file
from perene.errors import PereneError
from perene.exit_codes import ExitCode

_PROVIDERS = ("pulumi", "pulumi-gcp", "pulumi-aws", "pulumi-kubernetes")


def commit_and_author(root: Path) -> tuple[str, str]:
    """The checked-out commit and its author's address. PereneError (exit 3) when files differ from it."""
    dirty = _git(root, "status", "--porcelain", "--untracked-files=no")
    if dirty:
        raise PereneError(
            "the checkout differs from its commit",
            where=", ".join(line[3:] for line in dirty.splitlines()[:5]),
            why="an approval speaks of a commit, not of files that only this machine has",
            fix="commit or put them back",
            exit_code=ExitCode.CANNOT_TELL,
        )
    commit, author = _git(root, "log", "-1", "--format=%H %ae").split(" ", 1)
    return commit, author


def configuration(root: Path, stack: str) -> str:
    """sha256 over the project's and the stack's configuration files."""
    digest = hashlib.sha256()
    for path in (root / "Pulumi.yaml", stack_file(root, stack)):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def providers() -> dict[str, str]:
    """The versions of the engine's SDK and of each provider that are installed."""
    return {name: importlib.metadata.version(name) for name in _PROVIDERS}


def moved(approval: ChangeApproval, stack: Stack, *, steps_digest: str) -> list[str]:
    """Everything that is no longer as it was approved, in words."""
    commit, author = commit_and_author(stack.root)
    pairs = {
        "the stack": (approval.stack, stack.name),
        "the commit": (approval.commit, commit),
        "its author": (approval.author, author),
        "the configuration": (approval.configuration, configuration(stack.root, stack.name)),
        "the provider versions": (approval.providers, providers()),
        "the state's resources": (approval.state, stack.state().fingerprint),
        "the previewed steps": (approval.steps, steps_digest),
    }
    return [what for what, (approved, found) in pairs.items() if approved != found]


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as failure:
        raise PereneError(f"git {arguments[0]} failed: {failure}", where=str(root), exit_code=ExitCode.CANNOT_TELL) from None
