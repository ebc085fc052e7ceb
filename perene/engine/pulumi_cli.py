"""The Pulumi CLI's calls: a project directory of its own, so that neither state nor salt ever touches the checkout."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perene.engine import built
from perene.engine.progress import Progress
from perene.engine.stacks import stack_file
from perene.engine.target import Target
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.private import private_directory, state, write_private

UP_SECONDS = 1800
UPSERT = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"


@dataclass(frozen=True)
class Result:
    """What one call said."""

    code: int
    stdout: str
    stderr: str


class Cli:
    """The CLI for one stack of one checkout.

    The backend is a directory under .perene/ unless PULUMI_BACKEND_URL is set; the passphrase is made once, unless the environment has one.
    """

    def __init__(self, root: Path, stack: str, target: Target, progress: Progress, program: str = "pulumi") -> None:
        self.root, self.stack, self.progress, self.program = root, stack, progress, program
        self.project = self._project()
        self.environment = self._environment(target)

    def prepare(self) -> None:
        """Make the stack where it is missing, and take away the lock of a run that was killed on this host."""
        self._break_dead_locks()
        chosen = self.call("stack", "select", self.stack)
        if chosen.code:
            made = self.call("stack", "init", self.stack)
            if made.code and "already exists" not in made.stderr:
                raise self._failure("stack init", made)

    def preview(self) -> str:
        """The preview in JSON, unchanged resources included."""
        done = self.call("preview", "--json", "--show-sames", "--non-interactive", "-s", self.stack)
        if done.code and not done.stdout.strip().startswith("{"):
            raise self._failure("preview", done)
        return done.stdout

    def up(self, *, upsert: bool = False) -> Result:
        """Apply without another preview; every line of the engine is shown. upsert: take over objects that exist already."""
        return self.call(
            "up", "--yes", "--skip-preview", "--non-interactive", "-s", self.stack, more={UPSERT: "true"} if upsert else {}, show=True
        )

    def run(self, *arguments: str) -> str:
        """A call that has to succeed: its output."""
        done = self.call(*arguments)
        if done.code:
            raise self._failure(" ".join(arguments[:2]), done)
        return done.stdout

    def call(self, *arguments: str, more: Mapping[str, str] | None = None, show: bool = False) -> Result:
        """Run the CLI in the project directory. show: print its lines as they come."""
        process = subprocess.Popen(
            [self.program, *arguments],
            cwd=self.project,
            env=self.environment | dict(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if show else subprocess.PIPE,
            text=True,
        )
        if not show:
            out, err = process.communicate(timeout=UP_SECONDS)
            self.progress.note(f"pulumi {' '.join(arguments)} -> {process.returncode}\n{err}")
            return Result(process.returncode, out, err)
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            self.progress.note(line.rstrip())
            if line.startswith((" +", " ~", " -")) and line.strip():
                self.progress.say(line.strip())
        return Result(process.wait(timeout=60), "".join(lines), "".join(lines))

    def _failure(self, what: str, done: Result) -> PereneError:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return PereneError("\n  ".join(said[-6:]) or f"ended with {done.code}", where=f"pulumi {what}")

    def _project(self) -> Path:
        """Pulumi.yaml with an absolute `main`, and the stack file with the salt that the CLI once added: the CLI writes into both."""
        directory = state(self.root, "pulumi")
        interpreter = json.dumps(sys.prefix)
        write_private(
            directory / "Pulumi.yaml",
            f"name: perene\nmain: {json.dumps(str(self.root))}\nruntime: {{name: python, options: {{virtualenv: {interpreter}}}}}\n",
        )
        copy = directory / f"Pulumi.{self.stack}.yaml"
        before = copy.read_text(encoding="utf-8").splitlines() if copy.exists() else []
        salt = [line for line in before if line.startswith("encryptionsalt:")]
        text = stack_file(self.root, self.stack).read_text(encoding="utf-8").rstrip("\n")
        write_private(copy, "\n".join([text, *salt]) + "\n")
        return directory

    def _environment(self, target: Target) -> dict[str, str]:
        own = {
            "KUBECONFIG": str(target.kubeconfig),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": str(self.root),
        }
        if self.program != "pulumi":
            # Its plugins lie beside it.
            own["PATH"] = f"{Path(self.program).parent}{os.pathsep}{os.environ['PATH']}"
        if shutil.which("pulumi-resource-kubernetes", path=own.get("PATH")):
            # The plugin is there: asking the network for others that this stack does not use costs seconds.
            own["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        if "PULUMI_BACKEND_URL" not in os.environ:
            own["PULUMI_BACKEND_URL"] = private_directory(self.root / ".perene" / "state").as_uri()
        if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
            own["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(built.passphrase(self.root))
        return dict(os.environ) | own

    def _break_dead_locks(self) -> None:
        locks = self.root / ".perene" / "state" / ".pulumi" / "locks"
        for file in locks.rglob("*.json") if "PULUMI_BACKEND_URL" not in os.environ else ():
            holder = json.loads(file.read_text(encoding="utf-8") or "{}")
            here = holder.get("hostname") == socket.gethostname()
            if here and not _alive(int(holder.get("pid", 0))):
                self.progress.show(f"the run that held the stack's lock (process {holder.get('pid')}) was killed: its lock is taken away")
                self.run("cancel", "--yes", "-s", self.stack)
                return
            raise PereneError(
                f"the stack is locked by process {holder.get('pid')} on {holder.get('hostname')} since {holder.get('timestamp')}",
                fix="wait for it; if that host is gone for good: `pulumi cancel`",
                exit_code=ExitCode.CANNOT_TELL,
            )


def _alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists() if sys.platform == "linux" else _signalled(pid)


def _signalled(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
