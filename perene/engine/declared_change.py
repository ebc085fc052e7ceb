"""What two commits declare, as steps: for forks and laptops without credentials, state or engine. Declared, not previewed."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from perene.contract.steps import PropertyChange, ResourceState, Step, StepDocument
from perene.engine import declare_here, monitor, stacks
from perene.engine.program import Program, Registration, masked
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety.catalog import kind_of
from perene.safety.differences import changed


def against_ref(root: Path, stack: str, ref: str) -> StepDocument:
    """The steps from what `ref` declares to what the checkout declares. PereneError (exit 3) when the commit cannot be had.

    The code of `ref` runs too, in a process of its own; a stack that it does not have was not declared there.
    """
    now = monitor.run(root, stack)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "ref"
        _git(root, "worktree", "add", "--detach", "--quiet", str(place), ref)
        try:
            before = _declared_at(place, stack)
        finally:
            _git(root, "worktree", "remove", "--force", str(place))
    return compare(before, now).model_copy(update={"tier": _tier(stacks.stack_file(root, stack))})


def of_checkout(root: Path, change: Path, stack: str) -> StepDocument:
    """The steps from what this checkout declares to what another one does, each by its own code in a process of its own."""
    before, after = _declared_at(root, stack), _declared_at(change.resolve(), stack)
    known = stacks.stack_files(change)
    return _document(stack, before, after).model_copy(update={"tier": _tier(known[stack]) if stack in known else ""})


def compare(before: dict[str, ResourceState], program: Program) -> StepDocument:
    """Steps between two sets of declarations. A path that the catalogue knows to force a replacement makes a `replace`."""
    return _document(program.stack, before, {resource.urn: state_of(resource) for resource in program.resources})


def _document(stack: str, before: dict[str, ResourceState], after: dict[str, ResourceState]) -> StepDocument:
    steps = [_step(urn, before.get(urn), after.get(urn)) for urn in sorted({*before, *after})]
    return StepDocument(stack=stack, way="declared", asked=True, with_sames=True, steps=tuple(steps))


def state_of(resource: Registration) -> ResourceState:
    """A registration as one side of a step."""
    return ResourceState(
        type=resource.type,
        parent=resource.parent,
        provider=resource.provider,
        custom=resource.custom,
        inputs=masked(resource.inputs),
        options=resource.options,
    )


def _tier(path: Path) -> str:
    """The tier's configuration as JSON text: the goals of each store stand in it."""
    values = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("config") or {}
    return json.dumps(values.get("perene:tier") or {}, default=str)


def _step(urn: str, old: ResourceState | None, new: ResourceState | None) -> Step:
    if old is None or new is None:
        return Step(op="create" if old is None else "delete", urn=urn, old=old, new=new)
    different = changed(Step(op="update", urn=urn, old=old, new=new))
    forcing = tuple(path for path in different if any(path == known or path.startswith(f"{known}.") for known in _replacing(old)))
    op = "replace" if forcing else "update" if different else "same"
    changes = tuple(PropertyChange(path=path, kind="update-replace" if path in forcing else "update") for path in different)
    return Step(op=op, urn=urn, old=old, new=new, changes=changes, replace_reasons=forcing)


def _replacing(state: ResourceState) -> tuple[str, ...]:
    # A size forces a replacement only when it shrinks with a disk that may not grow, and a network only when it goes: both are judged as
    # updates here, by rules of their own.
    sometimes = {"settings.diskSize", "settings.ipConfiguration.privateNetwork", "data", "binaryData", "type"}
    return tuple(path for path in kind_of(state.type, custom=state.custom).replaced_by if path not in sometimes)


def _declared_at(place: Path, stack: str) -> dict[str, ResourceState]:
    """What another commit declares, by its own code in a process of its own; nothing for a stack that it does not have."""
    if stack not in stacks.stack_files(place):
        return {}
    script = Path(declare_here.__file__).read_text(encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", script, stack], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise PereneError(
            "the other commit's program cannot be run here: " + (done.stderr.strip().splitlines() or ["no output"])[-1],
            where=stack,
            fix="compare with a commit that this machine's packages fit",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return {each.pop("urn"): ResourceState.model_validate(each) for each in json.loads(done.stdout)}


def _git(root: Path, *arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise PereneError(
            f"git {' '.join(arguments[:2])}: {done.stderr.strip()}",
            where=arguments[-1],
            fix="fetch the branch first: git fetch origin main",
            exit_code=ExitCode.CANNOT_TELL,
        )
