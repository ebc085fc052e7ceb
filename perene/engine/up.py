"""`perene up`: a table of stages, each of which may be repeated after any interruption."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from perene.contract.steps import StepDocument
from perene.contract.tier import TierDocument
from perene.custody import init
from perene.custody.cluster_secrets import ClusterSecrets
from perene.custody.vaults import Vaults
from perene.engine import apply, cluster_choice, cluster_images, engine_choice, first_proof, monitor, proof, reclaim
from perene.engine.engine_choice import Engine
from perene.engine.lock import alone
from perene.engine.program import Program
from perene.engine.progress import Progress
from perene.engine.stack_by_cli import bring_up
from perene.engine.target import Target
from perene.engine.tier import document
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.logs import rotate
from perene.private import state

DISK_BYTES = 6 * 2**30
LOG_BYTES = 2**20


@dataclass
class Run:
    """What the stages of one run know. Each stage adds what the next ones need."""

    root: Path
    stack: str
    progress: Progress
    confirm: Callable[[str], str]
    judge: Callable[[StepDocument], None]
    context: str | None = None
    engine_wish: str | None = None
    first_backup: bool = True
    program: Program = field(init=False)
    tier: TierDocument = field(init=False)
    engine: Engine = field(init=False)
    target: Target = field(init=False)


def up(run: Run) -> None:
    """Run every stage, show how long each took, and then, on a local cluster, make the first set and its drill where there are none."""
    began = time.monotonic()
    with alone(run.root, f"perene up {run.stack}"):
        for name, stage in STAGES:
            with run.progress.stage(name):
                done = stage(run)
            run.progress.show(f"[{name} {run.progress.timings[-1][1]:5.1f} s] done: {done}")
        timings = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run.progress.timings)
        run.progress.show(f"{run.stack} is up in {time.monotonic() - began:.1f} s ({timings})")
        if run.first_backup and run.target.kind != "named":
            first_proof.ensure(run.root, run.target.client(run.progress.log), run.tier, run.progress)


def log_file(root: Path, command: str) -> Path:
    """The log of a command, with a line for this run; what grew over a megabyte is rotated before."""
    file = state(root, "logs") / f"{command}.log"
    file.touch(mode=0o600)
    rotate(file, LOG_BYTES)
    with file.open("a", encoding="utf-8") as log:
        log.write(f"== {datetime.now(UTC).isoformat(timespec='seconds')} process {os.getpid()}\n")
    return file


def check(run: Run) -> str:
    """Everything that can be known before anything is touched, all problems at once."""
    problems: list[Problem] = []
    try:
        run.program = monitor.run(run.root, run.stack)
        run.tier = document(run.program)
    except PereneError as wrong:
        problems += wrong.problems
    free = shutil.disk_usage(run.root).free
    if free < DISK_BYTES:
        problems.append(
            Problem(
                what=f"{free / 2**30:.1f} GiB of disk are free, {DISK_BYTES / 2**30:.0f} are needed",
                where=str(run.root),
                why="binaries, images and volumes would fill the disk half way",
                fix="make room, or work from a checkout on a larger disk",
            )
        )
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    return f"{run.stack} is {run.tier.system}, {run.tier.environment}, with {', '.join(run.tier.stores)}"


def choose_engine(run: Run) -> str:
    """Which way the program is applied."""
    run.engine = engine_choice.choose(run.root, run.stack, run.engine_wish)
    if run.engine.way == "embedded" and run.tier.environment != "dev":
        raise PereneError(
            f"{run.tier.environment} is never applied without the Pulumi CLI ({run.engine.reason})",
            fix="install pulumi: https://www.pulumi.com/docs/install/",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return f"{run.engine.way}, because {run.engine.reason}"


def choose_cluster(run: Run) -> str:
    """Where it goes."""
    choice = cluster_choice.choose(run.root, run.stack, run.context, run.confirm, run.progress)
    run.target = choice.target
    run.target.client(run.progress.log).ready()
    return f"{run.target.kind} (context {run.target.context}): {choice.reason}"


def load_images(run: Run) -> str:
    """Images that no registry has."""
    return f"loaded: {', '.join(cluster_images.ensure(run.root, run.target, run.program, run.progress)) or 'none of ours is used'}"


def make_secrets(run: Run) -> str:
    """What is secret, where this command may make it: a guarded tier's is made by hand, with its escrow."""
    vault = Vaults(ClusterSecrets(run.target.client(run.progress.log), run.stack, run.tier.namespace))
    if run.tier.guarded:
        problems = init.problems(vault, run.tier)
        if problems:
            raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
        return "all there"
    report = init.initialise(vault, run.tier, run.root, None)
    if run.tier.proof_key is None:
        # The program publishes the public key that was just made.
        run.program = monitor.run(run.root, run.stack)
        run.tier = document(run.program)
    escrow = "escrowed" if report.escrow else "NOT escrowed (perene secrets init --escrow age1...)"
    return f"{len(report.made)} made, {len(report.kept)} kept, {escrow}"


def apply_stack(run: Run) -> str:
    """The tier itself."""
    kubectl = run.target.client(run.progress.log)
    for warning in reclaim.check(kubectl, run.program):
        run.progress.show(f"  warning: {warning}")
    engine_choice.record(run.root, run.stack, run.engine.way)
    if run.engine.way == "cli":
        return bring_up(run.root, run.program, run.target, command=run.engine.program, progress=run.progress, judge=run.judge)
    hooks = apply.Hooks(say=run.progress.say, show=run.progress.show, judge=run.judge)
    steps = apply.apply(kubectl, run.program, hooks).steps
    changed = sum(step.op != "same" for step in steps)
    return f"{changed} of {len(steps)} objects changed" if changed else f"nothing to change, all {len(steps)} objects are as declared"


def prove(run: Run) -> str:
    """A row, through the Service, over verified TLS."""
    client = run.target.client(run.progress.log)
    return "; ".join(proof.prove(run.root, client, run.tier, reachable=run.target.kind == "perene-local")) or "no PostgreSQL in this tier"


STAGES: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("checks", check),
    ("engine", choose_engine),
    ("cluster", choose_cluster),
    ("images", load_images),
    ("secrets", make_secrets),
    ("stack", apply_stack),
    ("proof", prove),
)
