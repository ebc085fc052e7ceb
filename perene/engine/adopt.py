"""From the embedded way to the CLI: import what exists, give up the embedded way's ownership, and see a preview without operations."""

import json
from pathlib import Path

from perene.engine import engine_choice, monitor, target
from perene.engine.dry_run import MANAGER
from perene.engine.kubectl import Kubectl
from perene.engine.lock import alone
from perene.engine.objects import Declared, declared, shown
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
    engine = engine_choice.choose(root, "cli")
    with alone(root, f"perene adopt-state {stack}"), progress.stage("adopt"):
        kubectl = where.client(progress.log)
        kubectl.ready()
        refuse_foreign(kubectl, program)
        wanted = declared(program)
        _refuse_missing(kubectl, wanted)
        cli = Cli(root, stack, where, progress, engine.program)
        cli.prepare()
        before = {step.urn: step.op for step in parse_steps(cli.preview().encode(), "pulumi preview").steps}
        if any(before.get(item.registration.urn) == "create" for item in wanted):
            progress.say("importing what exists")
            _import(cli, program)
        _give_up_ownership(kubectl, wanted)
        left = [step for step in parse_steps(cli.preview().encode(), "pulumi preview").steps if step.op != "same"]
        if left:
            raise PereneError(
                f"the preview after the import still has operations: {', '.join(f'{step.op} {step.urn}' for step in left)}",
                fix="`perene up` shows and judges them",
                exit_code=ExitCode.CANNOT_TELL,
            )
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


def _refuse_missing(kubectl: Kubectl, wanted: tuple[Declared, ...]) -> None:
    live = {(item["kind"], item["metadata"]["name"]) for item in kubectl.live(item.manifest for item in wanted)}
    missing = [shown(item.key) for item in wanted if (item.key[0], item.key[2]) not in live]
    if missing:
        raise PereneError(f"not there yet: {', '.join(missing)}", fix="`perene up` first", exit_code=ExitCode.CANNOT_TELL)


def _give_up_ownership(kubectl: Kubectl, wanted: tuple[Declared, ...]) -> None:
    """Take the embedded way's name out of the objects' field owners: its old fields would block the CLI's next change as a conflict."""
    for live in kubectl.find_live_with_owners(item.manifest for item in wanted):
        owners = live["metadata"].get("managedFields") or []
        kept = [owner for owner in owners if owner.get("manager") != MANAGER]
        if kept and len(kept) != len(owners):
            patch = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
                {"op": "replace", "path": "/metadata/managedFields", "value": kept},
            ]
            metadata = live["metadata"]
            kubectl.run(
                "patch", live["kind"].lower(), metadata["name"], "-n", metadata["namespace"], "--type=json", "-p", json.dumps(patch)
            )
