"""One stack through the Pulumi CLI on PATH, with the backend of the environment: preview, state, drift, up."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from perene.contract.steps import StepDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety.reading import parse_steps
from perene.safety.state import State, parse_state

_FLAGS = ("--json", "--show-replacement-steps", "--show-sames", "--non-interactive", "--color", "never")
_PREVIEW_SECONDS, _UP_SECONDS = 1800, 7200


@dataclass(frozen=True)
class Stack:
    """A stack of a checkout. program: the CLI, found on PATH."""

    root: Path
    name: str
    program: str = "pulumi"

    def preview(self) -> StepDocument:
        """What an update would do, the checkout's policy pack included. An exit code other than 0 makes it a failed document."""
        pack = ("--policy-pack", str(self.root / "policy")) if (self.root / "policy").is_dir() else ()
        return self._steps("preview", *_FLAGS, *pack, "-s", self.name)

    def drift(self) -> StepDocument:
        """What the cloud changed by itself: a refresh that changes nothing."""
        return self._steps("refresh", "--preview-only", *_FLAGS, "-s", self.name)

    def state(self) -> State:
        """The exported state; secrets stay encrypted in it."""
        done = self._run("stack", "export", "-s", self.name, seconds=300)
        if done.returncode:
            raise self._failure("stack export", done)
        return parse_state(done.stdout, f"state of {self.name}")

    def up(self) -> None:
        """Apply; every line of the engine is shown. PereneError when it fails."""
        arguments = [self.program, "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "-s", self.name]
        try:
            code = subprocess.run(arguments, cwd=self.root, timeout=_UP_SECONDS, check=False, stdin=subprocess.DEVNULL).returncode
        except FileNotFoundError:
            raise self._absent() from None
        if code:
            raise PereneError(
                f"pulumi up ended with {code}: a part may be applied",
                where=self.name,
                why="an update is not all or nothing",
                fix="read its last lines, mend the cause, and approve and apply again; the restore point was taken before",
            )

    def _steps(self, *arguments: str) -> StepDocument:
        done = self._run(*arguments, seconds=_PREVIEW_SECONDS)
        if not done.stdout.strip().startswith(b"{"):
            raise self._failure(arguments[0], done)
        document = parse_steps(done.stdout, f"pulumi {arguments[0]} of {self.name}")
        return document.model_copy(update={"failed": True}) if done.returncode else document

    def _run(self, *arguments: str, seconds: int) -> "subprocess.CompletedProcess[bytes]":
        try:
            return subprocess.run(
                [self.program, *arguments], cwd=self.root, capture_output=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise self._absent() from None

    def _absent(self) -> PereneError:
        return PereneError(
            "the Pulumi CLI is not on PATH",
            where=self.program,
            why="an approval binds what the engine previews, so it needs the engine",
            fix="install the pinned CLI (make up does), or compare what is declared: perene plan STACK --against-ref main",
            exit_code=ExitCode.CANNOT_TELL,
        )

    def _failure(self, what: str, done: "subprocess.CompletedProcess[bytes]") -> PereneError:
        said = [line for line in (done.stderr or done.stdout).decode(errors="replace").splitlines() if line.strip()]
        return PereneError(
            "\n  ".join(said[-6:]) or f"ended with {done.returncode}", where=f"pulumi {what}", exit_code=ExitCode.CANNOT_TELL
        )
