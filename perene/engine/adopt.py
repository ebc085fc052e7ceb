"""From the embedded way to the CLI: import what exists, give up the embedded way's ownership, and see a preview without operations."""

import json
from pathlib import Path

from perene.engine import engine_choice, monitor, target
from perene.engine.apply import lines
from perene.engine.dry_run import MANAGER, look
from perene.engine.kubectl import Kubectl
from perene.engine.lock import alone
from perene.engine.objects import Declared, declared
from perene.engine.program import Program
from perene.engine.progress import Progress
from perene.engine.pulumi_cli import UPSERT, Cli
from perene.engine.stack_by_cli import refuse_foreign
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety.reading import parse_steps


def adopt(root: Path, stack: str, progress: Progress) -> None:
    """Take what the embedded way made into the CLI's state. PereneError when anything is missing, foreign, or would still change."""
    program = monitor.run(root, stack)
    where = target.of_stack(root, stack)
    engine = engine_choice.cli(root)
    if isinstance(engine, str):
        raise PereneError(f"there is no Pulumi CLI: {engine}", fix="install it: https://www.pulumi.com/docs/install/")
    with alone(root, f"perene adopt-state {stack}"), progress.stage("adopt"):
        kubectl = where.client(progress.log)
        kubectl.ready()
        refuse_foreign(kubectl, program)
        wanted = declared(program)
        _refuse_difference(kubectl, program, wanted)
        cli = Cli(root, stack, where, progress, engine.program)
        cli.prepare()
        before = {step.urn: step.op for step in parse_steps(cli.preview().encode(), "pulumi preview").steps}
        if any(before.get(item.registration.urn) == "create" for item in wanted):
            progress.say("importing what exists")
            _give_up_ownership(kubectl, wanted)
            _import(cli, program)
        left = [step for step in parse_steps(cli.preview().encode(), "pulumi preview").steps if step.op != "same"]
        if left:
            raise PereneError(
                f"the preview after the import still has operations: {', '.join(f'{step.op} {step.urn}' for step in left)}",
                fix="`perene up` shows and judges them",
                exit_code=ExitCode.CANNOT_TELL,
            )
        engine_choice.record(root, stack, "cli")
    progress.show(f"{len(wanted)} objects of {stack} are in the CLI's state; its preview has no operations")


def _import(cli: Cli, program: Program) -> None:
    """One `up` that takes over existing objects: `pulumi import` records other inputs than the program's, and replaces on the next `up`."""
    done = cli.up(upsert=True)
    if done.code:
        raise PereneError("\n  ".join(done.stdout.splitlines()[-6:]), where="pulumi up")
    # A second one without the switch, which must not stay in the state.
    done = cli.up()
    if done.code:
        raise PereneError("\n  ".join(done.stdout.splitlines()[-6:]), where=f"pulumi up without {UPSERT} for {program.stack}")


def _refuse_difference(kubectl: Kubectl, program: Program, wanted: tuple[Declared, ...]) -> None:
    """What exists must be what the program declares: a change belongs into an `up`, where the gate judges it."""
    owned = [
        owner.get("manager")
        for item in kubectl.find_live_with_owners(item.manifest for item in wanted)
        for owner in item["metadata"]["managedFields"]
    ]
    if MANAGER not in owned:
        return
    outlook = look(kubectl, program, wanted)
    if any(step.op != "same" for step in outlook.steps.steps):
        raise PereneError(
            "what exists is not what the program declares:\n" + "\n".join(lines(outlook.steps)),
            fix=f"`perene up {program.stack}` first",
            exit_code=ExitCode.CANNOT_TELL,
        )


def _give_up_ownership(kubectl: Kubectl, wanted: tuple[Declared, ...]) -> None:
    """Take the embedded way's name out of the objects' field owners: its old fields would block the CLI's next change as a conflict."""
    for live in kubectl.find_live_with_owners(item.manifest for item in wanted):
        owners = live["metadata"].get("managedFields") or []
        kept = [owner for owner in owners if owner.get("manager") != MANAGER]
        if len(kept) != len(owners):
            patch = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
                {"op": "replace", "path": "/metadata/managedFields", "value": kept or [{}]},  # an empty list would be ignored
            ]
            metadata = live["metadata"]
            kubectl.run(
                "patch", live["kind"].lower(), metadata["name"], "-n", metadata["namespace"], "--type=json", "-p", json.dumps(patch)
            )
