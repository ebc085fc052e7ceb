"""What a delete or a replacement of one resource does, by its old state (the engine and the providers look at nothing else)."""

from typing import Any

from perene.contract.steps import ResourceState, Step
from perene.safety.comparisons import MISSING, rule_groups
from perene.safety.differences import at
from perene.safety.judgement import Judgement
from perene.safety.kinds import Effect, Kind

_ORPHAN = "adopt it again by import, or remove it in a change of its own after a proven backup"


def judge_removal(steps: list[Step], kind: Kind, *, replaced: bool) -> list[Judgement]:
    """Judgements on one resource that is deleted or replaced. steps: every step of its URN."""
    old = next((step.old for step in steps if step.old), None)
    new = next((step.new for step in steps if step.new), None)
    deed = "replaced by an empty one" if replaced and kind.data else "replaced" if replaced else "deleted"
    forced = _forced(steps) if replaced else ""
    spared = _spared(old, kind, replaced=replaced) if old else None
    if spared:
        return [spared]
    special = _stateful_set(old, new, replaced=replaced) if old and old.type.endswith(":StatefulSet") else None
    if old and rule_groups(at(old.inputs, "data")) and not rule_groups(at(new.inputs, "data") if new else MISSING):
        special = Judgement(Effect.WEAKENS, f"{deed}{forced}: the alerts in it are gone, nobody is told", "declare the new alerts first")
    main = special or Judgement(kind.gone, f"{deed}{forced}: {kind.gone_reason}", kind.way_out)
    return [main, *_circumstances(steps, old, new, kind)]


def _forced(steps: list[Step]) -> str:
    paths = dict.fromkeys(
        [change.path for step in steps for change in step.changes if change.kind.endswith("replace")]
        + [path for step in steps for path in step.replace_reasons]
    )
    known = [path for path in paths if not path.startswith("__")]
    if known:
        return f" because of {', '.join(known)}"
    return " for a reason that the engine does not name (a trigger, a pending replacement, a shrunk disk, a removed lock)"


def _spared(old: ResourceState, kind: Kind, *, replaced: bool) -> Judgement | None:
    """When the old state says that the object itself stays."""
    if not kind.data:
        return None
    rest = "a new, empty one takes its place" if replaced else "nothing manages, protects or watches it any more"
    policy = at(old.inputs, "deletionPolicy")
    if old.options.get("retainOnDelete"):
        return Judgement(Effect.WEAKENS, f"retainOnDelete: it is forgotten, not deleted; {rest}", _ORPHAN)
    if policy == "ABANDON":
        return Judgement(Effect.WEAKENS, f"deletionPolicy ABANDON: it is forgotten, not deleted; {rest}", _ORPHAN)
    if policy == "DISABLE":
        return Judgement(Effect.WEAKENS, "deletionPolicy DISABLE: the version is disabled, so its readers are refused", _ORPHAN)
    if old.type.endswith(":PersistentVolume") and at(old.inputs, "spec.persistentVolumeReclaimPolicy") == "Retain":
        return Judgement(Effect.WEAKENS, f"the disk is retained, the volume object is gone; {rest}", _ORPHAN)
    return None


def _stateful_set(old: ResourceState, new: ResourceState | None, *, replaced: bool) -> Judgement | None:
    retention = at(old.inputs, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted")
    way_out = "set whenDeleted: Retain in a change of its own first; keep the name"
    if retention not in (MISSING, None, "Retain"):
        return Judgement(Effect.LOSES_DATA, "deleting the set deletes its volumes (whenDeleted is not Retain)", way_out)
    volumes, templates = at(old.inputs, "spec.template.spec.volumes"), at(old.inputs, "spec.volumeClaimTemplates")
    if "persistentVolumeClaim" not in repr(volumes) and templates in (MISSING, None, []):
        labels = at(old.inputs, "metadata.labels")
        if isinstance(labels, dict) and labels.get("perene.dev/keeps") == "nothing":
            return Judgement(Effect.DISRUPTIVE, "a cache, which keeps nothing: its users find it empty or gone", "tell its users first")
        return Judgement(
            Effect.LOSES_DATA, "its data lies in its pods (no volume claim is declared) and goes with them", "give it a volume first"
        )
    if replaced and new:
        moved = [
            path for path in ("metadata.name", "metadata.namespace", "spec.serviceName") if at(old.inputs, path) != at(new.inputs, path)
        ]
        if moved or templates != at(new.inputs, "spec.volumeClaimTemplates"):
            reason = f"replaced with another {', '.join(moved) or 'volume template'}: it starts on other volumes, so without its data"
            return Judgement(Effect.LOSES_DATA, reason, way_out)
        if _claim_names(volumes) == _claim_names(at(new.inputs, "spec.template.spec.volumes")):
            return Judgement(Effect.DISRUPTIVE, "replaced under the same name: the store stops, then adopts the same volumes", way_out)
        return Judgement(Effect.LOSES_DATA, "replaced on other volume claims: it starts without its data", way_out)
    return None


def _claim_names(volumes: Any) -> set[str]:
    items = volumes if isinstance(volumes, list) else []
    return {repr(volume.get("persistentVolumeClaim")) for volume in items if isinstance(volume, dict)} - {"None"}


def _circumstances(steps: list[Step], old: ResourceState | None, new: ResourceState | None, kind: Kind) -> list[Judgement]:
    """What makes it worse than it looks; never better."""
    found = []
    if old and old.options.get("protect") and new and not new.options.get("protect"):
        found.append("its guard (protect) is opened in the same change")
    guards = [path for path in kind.guards if old and new and at(old.inputs, path) is True and at(new.inputs, path) is not True]
    if guards:
        found.append(f"{', '.join(guards)} is switched off in the same change")
    if old and at(old.inputs, "deletionPolicy") == "PREVENT":
        found.append("deletionPolicy PREVENT makes the provider refuse in the middle of the update")
    if old and old.options.get("pendingReplacement") and not any(step.op == "delete-replaced" and not _pending(step) for step in steps):
        found.append("a replacement that was interrupted earlier goes on now")
    if old and old.options.get("delete") and not new:
        found.append("a leftover of an earlier replacement, which the summary counts as unchanged")
    if old and old.options.get("deletedWith"):
        found.append(f"it goes with {old.options['deletedWith'].rsplit('::', 1)[-1]}")
    effect = kind.gone if kind.data else Effect.SAFE
    return [Judgement(effect, reason, kind.way_out) for reason in found]


def _pending(step: Step) -> bool:
    return bool(step.old and step.old.options.get("pendingReplacement"))
