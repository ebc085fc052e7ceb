"""The embedded way: dry run, shown as steps and judged, then server-side apply in dependency order, then pruning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perene.contract.steps import Step, StepDocument
from perene.engine import readiness
from perene.engine.dry_run import CLUSTER_WIDE, PRUNABLE, STACK_LABEL, Outlook, apply_arguments, cluster_wide, look
from perene.engine.kubectl import Kubectl, as_list, items
from perene.engine.objects import DATA_KINDS, Declared, Key, batches, declared, key, shown
from perene.engine.program import Program
from perene.engine.tier import document
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode

_MARKS = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "same": " "}


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the caller wants to see and decide. say: what is waited for; show: a line for people; judge: raises when the gate refuses."""

    say: Callable[[str], None]
    show: Callable[[str], None]
    judge: Callable[[StepDocument], None]
    ready_seconds: float = field(default=readiness.DEFAULT_SECONDS)


def apply(kubectl: Kubectl, program: Program, hooks: Hooks) -> StepDocument:
    """Bring the cluster to what the program declares, and wait until everything is ready. Returns what was done.

    PereneError before any change when the tier is not dev, the cluster does not answer, an object is someone else's, a data-bearing
    object would have to be replaced, the server refuses an object, or the gate refuses the steps.
    """
    _dev_only(program)
    kubectl.ready()
    wanted = declared(program)
    outlook = look(kubectl, program, wanted)
    for line in lines(outlook.steps):
        hooks.show(line)
    # First what the server itself refuses: it knows the way out better than the gate, which would only see that something is missing.
    _refuse(outlook, wanted)
    hooks.judge(outlook.steps)
    changed = {step.urn for step in outlook.steps.steps if step.op != "same"}
    replaced = {step.urn for step in outlook.steps.steps if step.op == "replace"}
    for group in batches(wanted, readiness.SLOW_KINDS):
        for item in group:
            if item.registration.urn in replaced:
                _delete(kubectl, item.key)
        _send(kubectl, [item for item in group if item.registration.urn in changed])
        readiness.wait(kubectl, group, hooks.say, seconds=hooks.ready_seconds)
    for leaving in map(key, outlook.prune):
        hooks.say(f"removing {shown(leaving)}")
        _delete(kubectl, leaving)
    return outlook.steps


def lines(steps: StepDocument) -> list[str]:
    """The steps for people: every change with its paths, and how many stay the same."""
    found = [line for step in steps.steps if step.op != "same" for line in _step_lines(step)]
    same = sum(step.op == "same" for step in steps.steps)
    found += [f"  {item.severity}: {item.message}" for item in steps.diagnostics]
    return [*found, f"  {same} unchanged" if same else "  nothing there yet"]


def _step_lines(step: Step) -> list[str]:
    state = step.new or step.old
    kind, name = (state.type.rpartition(":")[2], state.inputs["metadata"]["name"]) if state else ("", step.urn)
    paths = [change.path for change in step.changes]
    more = f" and {len(paths) - 6} more" if len(paths) > 6 else ""
    return [f"  {_MARKS[step.op]:2} {step.op} {kind} {name}{': ' + ', '.join(paths[:6]) + more if paths else ''}"]


def destroy(kubectl: Kubectl, program: Program, hooks: Hooks) -> list[str]:
    """Remove everything of the stack with its data; returns what was removed. The caller has asked for the name.

    PereneError (exit 4) before any change while a store is guarded.
    """
    _dev_only(program)
    refuse_guarded(program)
    kubectl.ready()
    namespace = document(program).namespace
    if not kubectl.get("namespace", namespace):
        return []
    removed = []
    selector = f"{STACK_LABEL}={program.stack}"
    for kinds in ([*PRUNABLE.values()], ["persistentvolumeclaims"], []):
        found = kubectl.find(kinds, namespace=namespace, selector=selector) if kinds else cluster_wide(kubectl, program.stack, namespace)
        for item in found:
            if not item["metadata"].get("ownerReferences"):
                hooks.say(f"removing {shown(key(item))}")
                _delete(kubectl, key(item))
                removed.append(shown(key(item)))
    return removed


def refuse_guarded(program: Program) -> None:
    """PereneError (exit 4) with every store that is guarded and every resource that is protected."""
    tier = document(program)
    guarded = [f"store {name}" for name, store in tier.stores.items() if store.guarded]
    guarded += [f"resource {item.name}" for item in program.resources if item.protect and item.custom and item.package != "pulumi"]
    if guarded:
        raise PereneError(
            f"is guarded: {', '.join(guarded[:12])}{' ...' if len(guarded) > 12 else ''}",
            where=program.stack,
            why="its data would be gone; nothing was touched",
            fix="open the guard by a reviewed change of guards.opened in the stack file, apply that, then destroy",
            exit_code=ExitCode.WEAKENS,
        )


def _dev_only(program: Program) -> None:
    environment = document(program).environment
    if environment != "dev":
        raise PereneError(
            f"{environment} is never applied without the Pulumi CLI",
            where=program.stack,
            why="the embedded way keeps no state, and guards in the state are what protects it",
            fix=f"install pulumi (https://www.pulumi.com/docs/install/) and run `pulumi up -s {program.stack}`",
            exit_code=ExitCode.CANNOT_TELL,
        )


def _refuse(outlook: Outlook, wanted: Sequence[Declared]) -> None:
    problems = [
        Problem(
            what="exists and is not of this stack",
            where=shown(what),
            why="adopting it would overwrite someone else's object",
            fix=f"rename the store, or remove the object: kubectl -n {what[1]} delete {what[0].lower()} {what[2]}",
        )
        for what in outlook.foreign
    ]
    keys = {item.registration.urn: item.key for item in wanted}
    said = {item.urn: item.message for item in outlook.steps.diagnostics if item.severity == "error" and item.urn}
    lossy = [step for step in outlook.steps.steps if step.op == "replace" and keys[step.urn][0] in DATA_KINDS]
    problems += [
        Problem(
            what=f"would have to be replaced ({', '.join(step.replace_reasons)})",
            where=shown(keys[step.urn]),
            why=f"replacing it would delete its data or what leads to it; the server says: {said.get(step.urn, '')}",
            fix="put the value back; to move the data, raise the store's generation and restore into it",
        )
        for step in lossy
    ]
    replaced = {step.urn for step in lossy}
    foreign = set(outlook.foreign)
    problems += [
        Problem(what=f"the server refuses it: {message}", where=shown(keys[urn]), fix="put the value right in the stack file")
        for urn, message in said.items()
        if urn not in replaced and keys[urn] not in foreign
    ]
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.LOSES_DATA if lossy else ExitCode.CANNOT_TELL)


def _send(kubectl: Kubectl, group: Sequence[Declared]) -> None:
    if group:
        items(kubectl.run(*apply_arguments(dry=False), stdin=as_list(item.manifest for item in group), seconds=60))


def _delete(kubectl: Kubectl, what: Key) -> None:
    kind, namespace, name = what
    where = ("-n", namespace) if namespace else ()
    kubectl.run(
        "delete", (PRUNABLE | CLUSTER_WIDE).get(kind, kind.lower()), name, *where, "--ignore-not-found", "--timeout=120s", seconds=130
    )
