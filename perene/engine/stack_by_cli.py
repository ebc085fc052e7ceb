"""The stack through the Pulumi CLI, also after a run that was killed in the middle."""

from collections.abc import Callable
from pathlib import Path

from perene.contract.steps import StepDocument
from perene.engine.dry_run import STACK_LABEL
from perene.engine.kubectl import Kubectl
from perene.engine.objects import declared, key, shown
from perene.engine.program import Program
from perene.engine.progress import Progress
from perene.engine.pulumi_cli import Cli
from perene.engine.target import Target
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.safety.reading import parse_steps

_EXISTS = "already exists"


def bring_up(
    root: Path, program: Program, target: Target, *, command: str, progress: Progress, judge: Callable[[StepDocument], None]
) -> str:
    """Preview, judge, apply. What a killed run made is taken over, after it was seen that it is ours."""
    kubectl = target.client(progress.log)
    kubectl.ready()
    refuse_foreign(kubectl, program)
    cli = Cli(root, program.stack, target, progress, command)
    progress.say("preparing the stack")
    cli.prepare()
    progress.say("preview")
    steps = parse_steps(cli.preview().encode(), "pulumi preview")
    judge(steps)
    if all(step.op == "same" for step in steps.steps):
        return f"nothing to change, all {len(steps.steps)} resources are as declared"
    progress.say("pulumi up")
    done = cli.up()
    if done.code and _EXISTS in done.stdout:
        progress.show("a run was killed after it had made some objects: all of them are ours, so they are taken over")
        done = cli.up(upsert=True)
        if done.code == 0:
            # The switch must not stay in the state: it would adopt anything.
            done = cli.up()
    if done.code:
        said = [line for line in done.stdout.splitlines() if "error" in line.lower()]
        raise PereneError(
            "\n  ".join(said[-6:] or done.stdout.splitlines()[-6:]), where="pulumi up", fix="put the cause right and run it again"
        )
    return next((line.strip() for line in done.stdout.splitlines() if "unchanged" in line), "applied")


def refuse_foreign(kubectl: Kubectl, program: Program) -> None:
    """PereneError (exit 3) with every object that exists under a name of the program and is not of its stack."""
    live = kubectl.live(item.manifest for item in declared(program))
    foreign = [item for item in live if (item["metadata"].get("labels") or {}).get(STACK_LABEL) != program.stack]
    if foreign:
        raise PereneError(
            problems=[
                Problem(what="exists and is not of this stack", where=shown(key(item)), fix="rename the store, or remove the object")
                for item in foreign
            ],
            exit_code=ExitCode.CANNOT_TELL,
        )
