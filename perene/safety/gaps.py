"""What the gate could not see, and the worst that may hide behind it."""

from perene.contract.steps import Step, StepDocument
from perene.contract.verdict import Gap
from perene.safety.resources import GONE, KNOWN_OPS, kind_of_steps, type_of
from perene.safety.state import State

_FULL = "pulumi preview --json --show-replacement-steps --show-sames"
_NEEDS_OLD = GONE | {"same", "update", "replace"}
_NEEDS_NEW = {"create", "import", "same", "update", "replace", "create-replacement"}


def find_gaps(document: StepDocument, by_urn: dict[str, list[Step]], created: set[str], state: State | None) -> tuple[Gap, ...]:
    """Every reason why the steps may not be the whole truth."""
    gaps = [_loss(what, f"record it again: {_FULL}") for what in document.gaps]
    if document.failed:
        errors = list(dict.fromkeys(d.message.strip().split("\n")[0] for d in document.diagnostics if d.severity == "error"))
        gaps.append(
            _loss(
                f"the engine failed or refused: {'; '.join(errors[:3]) or 'no reason given'}", "mend that first; the steps are a part only"
            )
        )
    if not document.asked:
        gaps.append(_loss("the cluster or cloud was never asked", "make it reachable and preview again"))
    if not document.with_sames:
        gaps.append(
            Gap(what="unchanged resources are not listed, so lifted guards and ignored changes are invisible", hides="WEAKENS", fix=_FULL)
        )
    gaps += [gap for urn, steps in by_urn.items() if (gap := _contradiction(urn, steps))]
    gaps += _lost_from_state(by_urn, created)
    if state:
        gaps += [
            _loss(f"an operation was interrupted and its outcome is unknown: {each}", "pulumi refresh, then preview again")
            for each in state.pending
        ]
        gaps += _moved(by_urn, state)
        if document.with_sames and not document.failed:
            gaps += _unmentioned(by_urn, state)
    return tuple(gaps)


def _loss(what: str, fix: str) -> Gap:
    return Gap(what=what, hides="LOSES-DATA", fix=fix)


def _contradiction(urn: str, steps: list[Step]) -> Gap | None:
    states = [state for step in steps for state in (step.old, step.new) if state]
    unknown = {step.op for step in steps} - KNOWN_OPS
    if unknown:
        return _loss(f"{urn}: unknown operation {', '.join(sorted(unknown))}", "use a perene that knows this engine")
    if not states:
        return _loss(f"{urn}: no state on either side", f"record it again: {_FULL}")
    if {state.type for state in states} != {type_of(urn)}:
        return _loss(f"{urn}: its URN and its states name different types", f"record it again: {_FULL}")
    for step in steps:
        if (step.op in _NEEDS_OLD and step.old is None) or (step.op in _NEEDS_NEW and step.new is None):
            return _loss(f"{urn}: a step `{step.op}` lacks one of its states", f"record it again: {_FULL}")
    return None


def _lost_from_state(by_urn: dict[str, list[Step]], created: set[str]) -> list[Gap]:
    """A creation that something existing already hangs on: the state has lost it, or it vanished."""
    lost: dict[str, str] = {}
    for urn, steps in by_urn.items():
        for step in steps:
            if step.op not in {"same", "update"} or step.new is None or step.old is None:
                continue
            for name, urns in step.new.depends.items():
                if step.old.inputs.get(name) == step.new.inputs.get(name):
                    lost |= {owner: urn for owner in urns if owner in created and kind_of_steps(by_urn[owner]).data}
    return [
        _loss(
            f"{owner} is to be created although {urn.rsplit('::', 1)[-1]} already lives in it: the state has lost it, or it is gone",
            "import it (import_id), or find out who deleted it",
        )
        for owner, urn in lost.items()
    ]


def _unmentioned(by_urn: dict[str, list[Step]], state: State) -> list[Gap]:
    """What the state holds and the preview passes over in silence: it broke off, or it was told to look at a part."""
    renamed = {
        alias
        for steps in by_urn.values()
        for step in steps
        if step.new
        for alias in step.new.options.get("aliases", ())
        if isinstance(alias, str)
    }
    silent = [urn for urn in state.resources if urn not in by_urn and urn not in renamed]
    if not silent:
        return []
    more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
    return [_loss(f"{silent[0]}{more}: in the state, but not in the preview", "preview the whole stack again, without targets")]


def _moved(by_urn: dict[str, list[Step]], state: State) -> list[Gap]:
    moved = [
        urn
        for urn, steps in by_urn.items()
        for step in steps
        if step.old and step.old.id and step.op != "delete-replaced" and state.resources.get(urn, {}).get("id") not in {None, step.old.id}
    ]
    return [_loss(f"{urn}: the preview was made from another state", "preview again") for urn in dict.fromkeys(moved)]
