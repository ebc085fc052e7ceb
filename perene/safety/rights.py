"""What a new right allows, and the table of rights that a change grants and takes."""

from collections.abc import Iterable
from typing import Any

from perene.contract.steps import ResourceState, Step
from perene.contract.verdict import Right
from perene.safety.catalog import EVERYONE, Effect, is_broad, is_right
from perene.safety.judgement import Judgement

_WAY_OUT = "grant the narrowest role, on the one resource, to one identity"


def judge_new_right(state: ResourceState) -> list[Judgement]:
    """Judgements on a right that is granted newly."""
    inputs, name = state.inputs, state.type.rsplit(":", 1)[-1]
    members, role = _members(inputs), str(inputs.get("role", ""))
    if any(everyone in member for everyone in EVERYONE for member in members) or "allUsers" in repr(inputs):
        return [Judgement(Effect.WEAKENS, f"everyone gets {role or 'access'}", _WAY_OUT)]
    if name.lower().endswith(("iambinding", "iampolicy")):
        return [Judgement(Effect.WEAKENS, "it is authoritative: every right that it does not list is taken away", "use a single member")]
    if is_broad(role):
        return [Judgement(Effect.WEAKENS, f"{role} can do more than any job needs", _WAY_OUT)]
    if "'*'" in repr(inputs.get("rules")) or "cluster-admin" in repr(inputs.get("roleRef")):
        return [Judgement(Effect.WEAKENS, "it allows everything in the cluster or namespace", _WAY_OUT)]
    return [Judgement(Effect.SAFE, f"new right {role}".strip(), "")]


def _members(inputs: dict[str, Any]) -> list[str]:
    members = inputs.get("members")
    return [str(member) for member in members] if isinstance(members, list) else [str(inputs.get("member", ""))]


def changes_of_rights(steps: Iterable[Step]) -> tuple[Right, ...]:
    """Who gains or loses what by these steps."""
    found: dict[Right, None] = {}
    for step in steps:
        if step.op in {"same", "refresh"} or not any(state and is_right(state.type) for state in (step.old, step.new)):
            continue
        before = _rights(step.old) if step.old and step.op != "create" else {}
        after = _rights(step.new) if step.new and step.op not in {"delete", "delete-replaced"} else {}
        if step.op == "delete-replaced":
            continue
        for key in dict.fromkeys((*before, *after)):
            if (key in before) != (key in after):
                found[Right(who=key[0], role=key[1], on=key[2], change="granted" if key in after else "taken")] = None
    return tuple(found)


def _rights(state: ResourceState) -> dict[tuple[str, str, str], None]:
    inputs = state.inputs
    on = next(
        (str(inputs[name]) for name in ("bucket", "secretId", "secret", "serviceAccountId", "project", "resource") if name in inputs),
        state.type,
    )
    if "subjects" in inputs:
        who = [str(subject.get("name")) for subject in inputs["subjects"] if isinstance(subject, dict)]
        reference = inputs.get("roleRef")
        role = str(reference.get("name")) if isinstance(reference, dict) else ""
        return dict.fromkeys((name, role, "cluster") for name in who)
    if "role" in inputs or "member" in inputs or "members" in inputs:
        return dict.fromkeys((member, str(inputs.get("role", "")), on) for member in _members(inputs))
    return {}
