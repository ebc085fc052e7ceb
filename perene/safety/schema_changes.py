"""What new migration scripts in a change would do to data, judged from their text, before any database is asked.

The live catalogue is asked by `perene migrate plan`; here no table's size is known, so locks are told without their length.
"""

from collections.abc import Iterable, Mapping

from perene.contract.migration import Impact
from perene.contract.steps import ResourceState, Step
from perene.migrate.catalogue import Catalogue
from perene.migrate.classify import classify
from perene.migrate.effects import Effects
from perene.migrate.scripts import FILE
from perene.migrate.sql import parse
from perene.safety.judgement import Judgement
from perene.safety.kinds import Effect

SCRIPTS = "kubernetes:core/v1:ConfigMap"
ROLE = ("perene.dev/role", "migrate")
INSTANCE = "app.kubernetes.io/instance"
EFFECTS: dict[Impact, Effect] = {
    "SAFE": Effect.SAFE,
    "LOCKS": Effect.DISRUPTIVE,
    "REWRITES": Effect.DISRUPTIVE,
    "LOSES-DATA": Effect.LOSES_DATA,
}
WAY_OUT = "expand now and contract in a later change (docs/migrations.md); where the loss is meant: rehearse, approve, and a waiver here"


def judgements(steps: Iterable[Step]) -> dict[str, list[Judgement]]:
    """URN of a ConfigMap of scripts -> what those of its scripts do that no ConfigMap of the same database had before."""
    listed = list(steps)
    before: dict[str, dict[str, str]] = {}
    for step in listed:
        instance, scripts = _scripts(step.old)
        before.setdefault(instance, {}).update(scripts)
    found = {}
    for step in listed:
        instance, scripts = _scripts(step.new)
        if scripts and step.op != "delete":
            found[step.urn] = _judged(scripts, before.get(instance, {}))
    return found


def _scripts(state: ResourceState | None) -> tuple[str, dict[str, str]]:
    if state is None or state.type != SCRIPTS:
        return "", {}
    metadata, data = state.inputs.get("metadata"), state.inputs.get("data")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(labels, dict) or labels.get(ROLE[0]) != ROLE[1] or not isinstance(data, dict):
        return "", {}
    return str(labels.get(INSTANCE)), {name: str(text) for name, text in data.items() if FILE.fullmatch(name)}


def _judged(scripts: Mapping[str, str], before: Mapping[str, str]) -> list[Judgement]:
    effects = Effects(catalogue=Catalogue(relations={}, volatile=frozenset()))
    found = []
    for name, text in sorted(scripts.items()):
        if before.get(name) == text:
            continue
        if name in before:
            found.append(Judgement(Effect.DISRUPTIVE, f"{name} has another text: where it was applied, its Job refuses to run", WAY_OUT))
        if not name.endswith(".up.sql"):
            continue
        try:
            statements = parse(text)
        except ValueError:
            found.append(Judgement(Effect.LOSES_DATA, f"{name} is not SQL that can be read, so nothing is known of it", "correct it"))
            continue
        found += [
            Judgement(EFFECTS[finding.impact], f"{name}, statement {finding.statement}: {finding.impact}: {finding.text}", WAY_OUT)
            for finding in classify(statements, effects)
        ]
    return found
