"""The `perene` command: a table of commands, each imported only when it is called."""

import importlib
import sys
from pathlib import Path

from rich.console import Console

from perene.errors import PereneError
from perene.exit_codes import MEANING, ExitCode

# command: (module that holds `app: typer.Typer`, one line of help). Imported lazily: a cloud SDK costs seconds.
COMMANDS: dict[str, tuple[str, str]] = {
    "alerts": ("perene.cli.alerts", "what is watched, its Prometheus rules, its runbooks"),
    "audit": ("perene.cli.audit", "what was done to data and guards, and whether the record is whole"),
    "checklist": ("perene.cli.checklist", "before, during and after a change: it checks itself; the rest is named as manual"),
    "health": ("perene.cli.health", "one verdict over every store, worst first; --lost when data seems gone"),
    "report": ("perene.cli.report", "a self-contained page: the tier, its backups as a calendar, restore times, goals"),
    "doctor": ("perene.cli.doctor", "versions, configuration, events and logs in one archive, secrets masked"),
    "exporter": ("perene.cli.exporter", "figures on sets, drills, volumes and jobs for Prometheus"),
    "plan": ("perene.cli.plan", "show a tier before anything is done: stores, copies, guards, a picture"),
    "up": ("perene.cli.up", "bring a dev tier up: engine, cluster, images, secrets, stack, proof; then its first backup and drill"),
    "engine": ("perene.cli.engine", "have Pulumi's CLI where only package registries are reached: built from its Go modules"),
    "down": ("perene.cli.down", "stop the local cluster; the data stays (--backup: a verified set first)"),
    "maintain": ("perene.cli.maintain", "back up, stop, work, start, verify names and counts"),
    "destroy": ("perene.cli.destroy", "remove a dev tier with its data, after its name was typed"),
    "adopt": ("perene.cli.adopt", "existing instances, databases, buckets, secrets against what is declared, before they are imported"),
    "adopt-state": ("perene.cli.adopt_state", "move a tier from the embedded way to the Pulumi CLI"),
    "backup": ("perene.cli.backup", "make one recovery set over all stores, its manifest verified"),
    "restore": ("perene.cli.restore", "bring a set back beside the live data or in its place, and name what differs"),
    "drill": ("perene.cli.drill", "restore a set somewhere else, compare it, prove that damage is noticed"),
    "rebuild": ("perene.cli.rebuild", "make anew what has no backup of its own: a face collection, collections by a set-up command"),
    "export": ("perene.cli.export", "one set as one encrypted archive, for another place or the safe"),
    "import": ("perene.cli.import_set", "an archive into the repository, verified before anything is written"),
    "repo": ("perene.cli.repo", "the backup repository: init, list, check, seal, rewind"),
    "retention": ("perene.cli.retention", "which recovery sets are kept; make room; replay 400 days"),
    "render": ("perene.cli.render", "write a tier's Kubernetes objects as plain manifests"),
    "approve": ("perene.cli.approve", "sign exactly one previewed change of a stack"),
    "apply": ("perene.cli.apply", "apply what was approved, or nothing when anything moved"),
    "promote": ("perene.cli.promote", "may a commit go on to the next stack: every reason"),
    "evidence": ("perene.cli.evidence", "what a promotion may rest on, gathered and signed"),
    "drift": ("perene.cli.drift", "what the cloud changed by itself, judged"),
    "gate": ("perene.cli.gate", "what a previewed change does to data: safe, disruptive, weakens, loses data"),
    "migrate": ("perene.cli.migrate", "schema changes: plan, rehearse, apply, revert, status, export"),
    "key": ("perene.cli.key", "the encryption key: create, check, escrow, rotate, recover"),
    "secrets": ("perene.cli.secrets", "make, check and put back what is secret in a tier"),
    "local": ("perene.cli.local", "a real single-node Kubernetes on this computer (up, status, logs, grow, stop, destroy)"),
}


def usage() -> str:
    """The list of commands and the table of exit codes, as `perene --help` prints it."""
    width = max((len(name) for name in COMMANDS), default=0)
    commands = [f"  {name.ljust(width)}  {text}" for name, (_, text) in COMMANDS.items()]
    codes = [f"  {int(code):>3}  {text}" for code, text in MEANING.items()]
    return "\n".join(
        [
            "usage: perene COMMAND ... (perene COMMAND --help tells more)",
            "",
            "Defines, guards and proves the persistence tier of an application.",
            "",
            "commands:",
            *commands,
            "",
            "exit codes:",
            *codes,
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a PereneError becomes its text on stderr and its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    out, err = (Console(soft_wrap=True, highlight=False, stderr=stderr) for stderr in (False, True))
    if not words or words[0] in {"-h", "--help", "help"}:
        out.print(usage(), markup=False)
        sys.exit(ExitCode.DONE if words else ExitCode.USAGE)
    if words[0] not in COMMANDS:
        err.print(f"perene: no command {words[0]!r}. Commands: {', '.join(COMMANDS)}", markup=False)
        sys.exit(ExitCode.USAGE)
    module, _ = COMMANDS[words[0]]
    try:
        importlib.import_module(module).app(args=words[1:], prog_name=f"perene {words[0]}")
    except KeyboardInterrupt:
        err.print("interrupted: run the same command again to go on", markup=False)
        sys.exit(ExitCode.INTERRUPTED)
    except FileNotFoundError as absent:
        # A program that a command starts, not a file: its name has no folder.
        if not isinstance(absent.filename, str) or "/" in absent.filename or Path(absent.filename).exists():
            raise
        what = f"{absent.filename} is not installed, and `perene {words[0]}` starts it"
        err.print(str(PereneError(what, fix="install its package, or put it on PATH")), markup=False)
        sys.exit(ExitCode.CANNOT_TELL)
    except PereneError as error:
        err.print(str(error), markup=False)
        sys.exit(error.exit_code)
