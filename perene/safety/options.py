"""What a change of resource options does: guards of the engine are lifted there, without any property changing."""

from typing import Any

from perene.contract.steps import ResourceState
from perene.safety.catalog import KNOWN_IGNORED, hides
from perene.safety.judgement import Judgement
from perene.safety.kinds import Effect, Kind

_KEEP = "keep the guard; open it in a change of its own, dated, when a deed needs it"


def judge_options(old: ResourceState, new: ResourceState, kind: Kind) -> list[Judgement]:
    """Judgements on options that differ between the two states of a resource that stays."""
    before, after = old.options, new.options
    if before == after and old.provider == new.provider:
        return []
    found = []
    for name, reason in (
        ("protect", "the engine's guard (protect) is lifted: from now on a delete or replacement goes through"),
        ("retainOnDelete", "the engine no longer keeps the object when it leaves the program"),
    ):
        if before.get(name) and not after.get(name):
            found.append(Judgement(Effect.WEAKENS, reason, _KEEP))
    found += _ignored(before, after, new.type, kind)
    if _hooks(before) - _hooks(after):
        found.append(Judgement(Effect.WEAKENS, f"hooks are taken away: {', '.join(sorted(_hooks(before) - _hooks(after)))}", _KEEP))
    if before.get("deletedWith") and not after.get("deletedWith") and kind.data:
        found.append(Judgement(Effect.WEAKENS, "deletedWith is gone: a replacement of its owner now deletes this first", _KEEP))
    if after.get("deletedWith") and not before.get("deletedWith") and not old.type.startswith("gcp:sql/"):
        found.append(Judgement(Effect.WEAKENS, "deletedWith is new: it vanishes from the state with its owner, without a delete", _KEEP))
    if set(before.get("additionalSecretOutputs", ())) - set(after.get("additionalSecretOutputs", ())):
        found.append(Judgement(Effect.WEAKENS, "an output is no longer kept secret in the state", _KEEP))
    if after.get("replacementTrigger") is not None and before.get("replacementTrigger") is None and kind.data:
        found.append(
            Judgement(Effect.SAFE, "a replacement trigger is set: its next change of value replaces this", "leave it away on data")
        )
    if _provider(old) != _provider(new) and kind.data:
        found.append(Judgement(Effect.WEAKENS, "it moves to another provider, so perhaps to another project, region or cluster", _KEEP))
    return found


def _ignored(before: dict[str, Any], after: dict[str, Any], type_token: str, kind: Kind) -> list[Judgement]:
    added = set(after.get("ignoreChanges", ())) - set(before.get("ignoreChanges", ())) - KNOWN_IGNORED.get(type_token, set())
    hiding = sorted(path for path in added if hides(path, kind))
    if not hiding:
        return []
    reason = f"ignore_changes {', '.join(hiding)}: from now on no change of it reaches the service, and none is shown"
    return [Judgement(Effect.WEAKENS, reason, "declare the value, and ignore nothing that protects data")]


def _hooks(options: dict[str, Any]) -> set[str]:
    hooks = options.get("resourceHooks") or {}
    return {f"{moment} {name}" for moment, names in hooks.items() for name in (names if isinstance(names, list) else [names])}


def _provider(state: ResourceState) -> str:
    return (state.provider or "").rpartition("::")[0]
