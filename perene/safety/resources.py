"""Judges everything that one change does to one resource."""

from perene.contract.steps import Step, Way
from perene.safety.catalog import UNKNOWN, Effect, Kind, Rule, is_right, kind_of
from perene.safety.comparisons import MISSING, holds
from perene.safety.differences import Change, as_adopted, at, changed
from perene.safety.judgement import Judgement
from perene.safety.options import judge_options
from perene.safety.removals import judge_removal
from perene.safety.rights import judge_new_right

GONE = {"delete", "delete-replaced", "discard-replaced", "remove-pending-replace"}
REPLACED = {"replace", "create-replacement", "import-replacement", "read-replacement"}
STAYS = {"same", "update", "refresh"}
NEW = {"create", "import"}
READS = {"read", "discard"}
KNOWN_OPS = GONE | REPLACED | STAYS | NEW | READS


def type_of(urn: str) -> str:
    """The type token in a URN: the last of its chain of types."""
    parts = urn.split("::")
    return parts[2].rsplit("$", 1)[-1] if len(parts) >= 4 else ""


def kind_of_steps(steps: list[Step]) -> Kind:
    """The kind of a resource by its URN and states; contradictions between them make it unknown."""
    states = [state for step in steps for state in (step.old, step.new) if state]
    types = {type_of(steps[0].urn), *(state.type for state in states)}
    if len(types) != 1 or not states:
        return UNKNOWN
    # An object with an id or a provider exists in some service, whatever else the document says.
    custom = any(state.custom or state.id or state.provider for state in states)
    return kind_of(types.pop(), custom=custom)


def judge_resource(steps: list[Step], way: Way, created: set[str]) -> list[Judgement]:
    """Judgements on one resource, at least one for each operation that is no plain `same`.

    steps: all steps of one URN; created: URNs that the same change creates.
    """
    kind = kind_of_steps(steps)
    ops = {step.op for step in steps}
    found: list[Judgement] = []
    if ops - KNOWN_OPS:
        names = ", ".join(sorted(ops - KNOWN_OPS))
        found.append(Judgement(max(kind.gone, Effect.WEAKENS), f"an operation that the gate does not know: {names}", "use a newer perene"))
    if ops & (GONE | REPLACED):
        found += judge_removal(steps, kind, replaced=bool(ops & REPLACED))
        if way == "pulumi-refresh":
            return [Judgement(each.effect, f"it no longer exists: {each.reason}", "restore it (perene restore)") for each in found]
    for step in steps:
        if step.op in STAYS:
            found += _judge_stay(as_adopted(step) if "import" in ops else step, kind)
        elif step.op == "create":
            found += _judge_create(step, kind, created)
        elif step.op == "import":
            found.append(Judgement(Effect.SAFE, "an existing object is adopted without a change", ""))
        elif step.op in READS:
            found.append(Judgement(Effect.SAFE, "it is only read", ""))
    return found


def _judge_create(step: Step, kind: Kind, created: set[str]) -> list[Judgement]:
    if step.new is None:
        return [Judgement(Effect.WEAKENS, "a creation without the new state", "record the preview again")]
    if is_right(step.new.type):
        return judge_new_right(step.new)
    target = step.new.depends.get(kind.acts_on, ()) if kind.acts_on else ()
    if kind.acts_on and not set(target) & created:
        empty = step.new.model_copy(update={"inputs": {}, "outputs": {}})
        return _judge_properties(step.model_copy(update={"old": empty}), kind) or [Judgement(Effect.SAFE, "new", "")]
    return [Judgement(Effect.SAFE, "new", "")]


def _judge_stay(step: Step, kind: Kind) -> list[Judgement]:
    old, new = step.old, step.new
    if old is None or new is None:
        return [
            Judgement(
                max(kind.other, Effect.WEAKENS), f"a step `{step.op}` without both states explains nothing", "record the preview again"
            )
        ]
    found = judge_options(old, new, kind)
    if old.inputs is not new.inputs or step.op == "update":
        found += _judge_properties(step, kind)
    if step.op == "update" and not found:
        reason = "an update that names no property"
        found.append(Judgement(kind.other, reason, "record the preview again with --show-sames"))
    return found


def _judge_properties(step: Step, kind: Kind) -> list[Judgement]:
    found: list[Judgement] = []
    fired: set[Rule] = set()
    for path, change in changed(step).items():
        rules = [rule for rule in kind.rules if path == rule.path or path.startswith(rule.path + ".")]
        blocks = [rule for rule in kind.rules if rule.path.startswith(path + ".")] if not rules else []
        if step.op in {"same", "refresh"} and change[1] is not MISSING and path in kind.replaced_by:
            # The provider itself compared them and found them equal (another spelling of one name): else it would replace.
            continue
        before = len(found)
        for rule in rules + blocks:
            if rule in fired:
                continue
            judgement = _apply(rule, step, path, change)
            if judgement:
                fired.add(rule)
                found.append(judgement)
        if not rules and not blocks and not _harmless(path, kind):
            found.append(
                Judgement(
                    kind.other, f"{path} changes, and the catalogue does not say what that does", "add it to the catalogue with its source"
                )
            )
        elif len(found) == before and not any(rule.path == path or path.startswith(rule.path) for rule in fired):
            found.append(Judgement(Effect.SAFE, f"{path}: harmless", ""))
    forced = [change.path for change in step.changes if change.kind.endswith("replace")]
    if forced and kind.data:
        found.append(Judgement(kind.gone, f"{', '.join(forced)} forces a replacement although the step says {step.op}", kind.way_out))
    return found


def _apply(rule: Rule, step: Step, path: str, change: Change) -> Judgement | None:
    old, new = change if rule.path == path else _values(step, rule.path, path, change)
    if rule.path.startswith(path + ".") and old is MISSING and new is MISSING:
        return None
    if not holds(rule.test, old, new):
        return None
    if new is MISSING and rule.effect is Effect.LOSES_DATA and rule.test != "changed":
        # The service keeps what is no longer declared, but nothing repairs it any more and a new place gets the default.
        return Judgement(Effect.WEAKENS, f"{rule.path} is no longer declared: the live value stays, unwatched", "declare it")
    if new is MISSING and rule.effect is Effect.WEAKENS:
        return Judgement(Effect.WEAKENS, f"{rule.path} is no longer declared: {rule.reason}", rule.way_out)
    return Judgement(rule.effect, f"{rule.path}: {rule.reason}", rule.way_out)


def _values(step: Step, path: str, leaf: str, change: Change) -> Change:
    """The values at a rule's path when the difference lies above or below it."""
    if path.startswith(leaf + "."):
        below = path[len(leaf) + 1 :]
        return at(change[0], below), at(change[1], below)
    return (at(step.old.inputs, path) if step.old else MISSING, at(step.new.inputs, path) if step.new else MISSING)


def _harmless(path: str, kind: Kind) -> bool:
    return any(path == prefix or path.startswith(prefix + ".") for prefix in kind.harmless)
