"""The gate: judges one step document and says what the change does to data."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from perene.contract.steps import Step, StepDocument
from perene.contract.verdict import Budget, EffectName, Finding, Verdict
from perene.safety import schema_changes
from perene.safety.catalog import Effect
from perene.safety.differences import changed
from perene.safety.gaps import find_gaps
from perene.safety.judgement import Judgement
from perene.safety.openings import StoreGoals, TierFacts, generation_of, read_tier
from perene.safety.resources import GONE, REPLACED, judge_resource, kind_of_steps, type_of
from perene.safety.rights import changes_of_rights
from perene.safety.state import State

_NAMES: dict[Effect, EffectName] = {
    Effect.SAFE: "SAFE",
    Effect.DISRUPTIVE: "DISRUPTIVE",
    Effect.WEAKENS: "WEAKENS",
    Effect.LOSES_DATA: "LOSES-DATA",
}
_ORDER = {name: effect for effect, name in _NAMES.items()}


def judge(
    document: StepDocument,
    *,
    now: datetime | None = None,
    state: State | None = None,
    tier: TierFacts | None = None,
    proven: dict[str, str] | None = None,
) -> Verdict:
    """The verdict on a change.

    now: the moment against which dates count (the current time when left out); state: the exported state, which shows interrupted
    operations; tier: facts of the configuration, read from the document itself when left out; proven: store -> time of its last proven
    restore. Nothing is waived here: `perene.safety.waivers.apply` does that.
    """
    moment = now or datetime.now(UTC)
    facts = tier or read_tier(document.tier)
    by_urn: dict[str, list[Step]] = {}
    for step in document.steps:
        by_urn.setdefault(step.urn, []).append(step)
    created = {urn for urn, steps in by_urn.items() if any(step.op == "create" for step in steps)}
    schema = schema_changes.judgements(document.steps)
    findings = [
        _finding(steps, judgements, facts=facts, created=created, moment=moment)
        for urn, steps in by_urn.items()
        if (judgements := [*judge_resource(steps, document.way, created), *schema.get(urn, ())])
    ]
    findings += _expired_openings(facts, moment)
    findings.sort(key=lambda finding: (-_ORDER[finding.effect], finding.urn))
    gaps = find_gaps(document, by_urn, created, state)
    return Verdict(
        stack=document.stack,
        way=document.way,
        effect=worst(findings),
        certain=not gaps,
        findings=tuple(findings),
        gaps=gaps,
        rights=changes_of_rights(document.steps),
        budget=_budget(facts, findings, proven or {}),
        counts=_counts(findings),
        steps_digest=digest_of_steps(document.steps),
    )


def worst(findings: Iterable[Finding]) -> EffectName:
    """The worst class among findings that nobody waived."""
    return max((finding.effect for finding in findings if not finding.waived), key=lambda name: _ORDER[name], default="SAFE")


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    counts = Counter(finding.effect for finding in findings if not finding.waived)
    return {name: counts[name] for name in _NAMES.values()}


def _finding(steps: list[Step], judgements: list[Judgement], *, facts: TierFacts, created: set[str], moment: datetime) -> Finding:
    urn = steps[0].urn
    ops = "+".join(dict.fromkeys(step.op for step in steps))
    notes, waivable = _generation_notes(steps, facts, created, moment)
    ordered = sorted(judgements, key=lambda judgement: -judgement.effect)
    # What is harmless beside something worse is left out: a reader looks for what hurts.
    reasons = [judgement.reason for judgement in ordered if judgement.effect or not ordered[0].effect]
    return Finding(
        urn=urn,
        type=type_of(urn),
        operation=ops,
        effect=_NAMES[ordered[0].effect],
        reasons=tuple(dict.fromkeys([*reasons, *notes])),
        way_out=ordered[0].way_out,
        digest=digest_of_steps(steps),
        waivable=waivable,
    )


def _generation_notes(steps: list[Step], facts: TierFacts, created: set[str], moment: datetime) -> tuple[list[str], bool]:
    """What generations and `retired:` say about a removal, and whether it may be waived at all."""
    urn = steps[0].urn
    store, generation = facts.store_of(urn), generation_of(urn)
    if not store or generation is None or not {step.op for step in steps} & (GONE | REPLACED) or not kind_of_steps(steps).data:
        return [], True
    if generation == store.generation:
        return [f"generation {generation} of {store.name} is the live one"], True
    if any(generation_of(other) == store.generation and facts.store_of(other) == store for other in created):
        return [
            f"generation {store.generation} of {store.name} is created in the same change: retire the old one in a change of its own"
        ], False
    day = store.retired.get(generation)
    if day and moment.date() < day:
        return [f"generation {generation} of {store.name} is retired until {day} and may not go before"], False
    return [f"generation {generation} of {store.name} is not live; it may go once its successor is proven"], True


def _expired_openings(facts: TierFacts, moment: datetime) -> list[Finding]:
    return [
        Finding(
            urn=f"guards.opened: {opening.resource} {opening.guard}",
            type="perene:tier",
            operation="open",
            effect="WEAKENS",
            reasons=(f"the guard was opened until {opening.until or 'an unreadable date'} by {opening.by} and still is: {opening.reason}",),
            way_out="remove the opening from the stack's configuration",
            digest=hashlib.sha256(repr(opening).encode()).hexdigest(),
            waivable=False,
        )
        for opening in facts.expired(moment.date())
    ]


def _budget(facts: TierFacts, findings: list[Finding], proven: dict[str, str]) -> tuple[Budget, ...]:
    def changes(store: StoreGoals) -> tuple[str, ...]:
        own = [finding for finding in findings if facts.store_of(finding.urn) == store and _ORDER[finding.effect] >= Effect.WEAKENS]
        return tuple(f"{finding.urn.rsplit('::', 1)[-1]}: {finding.reasons[0]}" for finding in own)

    return tuple(
        Budget(store=store.name, kind=store.kind, rpo=store.rpo, rto=store.rto, proven=proven.get(store.name, ""), changes=changes(store))
        for store in facts.stores
    )


def digest_of_steps(steps: Iterable[Step]) -> str:
    """sha256 of what steps do: operations, changed values and options; a masked value counts by the id of the object that holds it."""
    parts = []
    for step in steps:
        if (
            step.op in {"same", "refresh"}
            and step.old
            and step.new
            and step.old.inputs == step.new.inputs
            and step.old.options == step.new.options
        ):
            continue
        differences = {path: [repr(old), repr(new)] for path, (old, new) in changed(step).items()}
        options = [state.options if state else {} for state in (step.old, step.new)]
        version = [step.old.id, _version(step.old.outputs)] if step.old else []
        parts.append([step.urn, step.op, differences, options, version])
    ordered = sorted(parts, key=lambda part: json.dumps(part[:2]))
    return hashlib.sha256(json.dumps(ordered, sort_keys=True, default=repr).encode()).hexdigest()


def _version(outputs: dict[str, object]) -> str:
    metadata = outputs.get("metadata")
    known = metadata.get("resourceVersion") if isinstance(metadata, dict) else outputs.get("version")
    return str(known or "")


def judged_again(verdict: Verdict, findings: tuple[Finding, ...]) -> Verdict:
    """The verdict with other findings (waived ones) and everything that follows from them."""
    return verdict.model_copy(update={"findings": findings, "effect": worst(findings), "counts": _counts(findings)})
