"""The embedded way's preview: a server-side dry run of everything, in the same step document that the gate reads."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from perene.contract.steps import Diagnostic, ResourceState, Step, StepDocument
from perene.engine.difference import changes, cleaned, wanted_over
from perene.engine.kubectl import Kubectl, Manifest, as_list, items
from perene.engine.objects import DATA_KINDS, Declared, Key, key, shown
from perene.engine.program import Program

MANAGER = "perene"
STACK_LABEL = "perene.dev/stack"
# What may be pruned when it leaves the program. Never claims, volumes, namespaces, secrets or storage classes.
PRUNABLE: dict[str, str] = {
    "StatefulSet": "statefulsets.apps",
    "Deployment": "deployments.apps",
    "Job": "jobs.batch",
    "CronJob": "cronjobs.batch",
    "Service": "services",
    "ConfigMap": "configmaps",
    "ServiceAccount": "serviceaccounts",
    "Role": "roles.rbac.authorization.k8s.io",
    "RoleBinding": "rolebindings.rbac.authorization.k8s.io",
    "NetworkPolicy": "networkpolicies.networking.k8s.io",
    "PodDisruptionBudget": "poddisruptionbudgets.policy",
}
# The same among what belongs to no namespace; such an object says in a label whose it is, or two tiers of one stack name would prune
# each other's.
CLUSTER_WIDE: dict[str, str] = {
    "ClusterRole": "clusterroles.rbac.authorization.k8s.io",
    "ClusterRoleBinding": "clusterrolebindings.rbac.authorization.k8s.io",
}
NAMESPACE_LABEL = "perene.dev/namespace"
_IMMUTABLE = re.compile(r"immutable|Forbidden: updates to")


@dataclass(frozen=True)
class Refusal:
    """Why an object cannot be changed as wanted. immutable: only a replacement would do it."""

    message: str

    @property
    def immutable(self) -> bool:
        """Whether the server refused because the field can never change."""
        return bool(_IMMUTABLE.search(self.message))


@dataclass(frozen=True)
class Outlook:
    """What the cluster said: the step document, what would be pruned, what belongs to someone else."""

    steps: StepDocument
    prune: tuple[Manifest, ...]
    foreign: tuple[Key, ...]


def look(kubectl: Kubectl, program: Program, wanted: Sequence[Declared]) -> Outlook:
    """Ask the server what applying would do; nothing is changed."""
    live = {key(item): item for item in kubectl.live(item.manifest for item in wanted)} if wanted else {}
    foreign = tuple(item.key for item in wanted if item.key in live and _stack_of(live[item.key]) != program.stack)
    dried, refused = _dry_run(kubectl, [item for item in wanted if item.key not in foreign])
    left = _left(kubectl, program.stack, wanted)
    prune = tuple(item for item in left if item["kind"] in PRUNABLE | CLUSTER_WIDE)
    kept = [key(item) for item in left if item["kind"] not in PRUNABLE | CLUSTER_WIDE]
    steps = [step_of(item, live.get(item.key), dried.get(item.key), refused.get(item.key)) for item in wanted if item.key not in foreign]
    steps += [_prune_step(program, item) for item in prune]
    return Outlook(
        StepDocument(
            stack=program.stack,
            way="embedded",
            asked=True,
            with_sames=True,
            failed=bool(foreign) or any(not refusal.immutable for refusal in refused.values()),
            steps=tuple(steps),
            diagnostics=tuple(_diagnostics(wanted, refused, kept, foreign)),
        ),
        prune,
        foreign,
    )


def step_of(item: Declared, live: Manifest | None, dried: Manifest | None, refusal: Refusal | None) -> Step:
    """One object's step: pure. dried: the server's answer to the dry run; refusal: its refusal instead."""
    if live is None:
        return Step(op="create", urn=item.registration.urn, new=_state(item, item.manifest))
    old = cleaned(live)
    new = cleaned(dried) if dried else wanted_over(old, item.manifest)
    replaces = refusal is not None and refusal.immutable
    found = changes(old, new, replaces=replaces)
    op = "replace" if replaces else "update" if found else "same"
    reasons = tuple(change.path for change in found) if replaces else ()
    return Step(
        op=op, urn=item.registration.urn, old=_state(item, old, live), new=_state(item, new, live), changes=found, replace_reasons=reasons
    )


def type_token(manifest: Manifest) -> str:
    """The engine's type of an object: `kubernetes:core/v1:ConfigMap`."""
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


def _state(item: Declared, inputs: Manifest, live: Manifest | None = None) -> ResourceState:
    registration = item.registration
    return ResourceState(
        type=registration.type,
        id="/".join(filter(None, item.key[1:])) if live else None,
        parent=registration.parent,
        provider=registration.provider,
        inputs=inputs,
        outputs=cleaned(live) if live else {},
        options=registration.options,
    )


def _prune_step(program: Program, item: Manifest) -> Step:
    urn = f"urn:pulumi:{program.stack}::{program.project}::{type_token(item)}::{item['metadata']['name']}"
    state = ResourceState(type=type_token(item), id="/".join(filter(None, key(item)[1:])), inputs=cleaned(item), outputs=cleaned(item))
    return Step(op="delete", urn=urn, old=state)


def _dry_run(kubectl: Kubectl, wanted: Sequence[Declared]) -> tuple[dict[Key, Manifest], dict[Key, Refusal]]:
    if not wanted:
        return {}, {}
    answer = kubectl.ask(*apply_arguments(dry=True), stdin=as_list(item.manifest for item in wanted), seconds=30)
    if answer.code == 0:
        return {key(item): item for item in items(answer.stdout)}, {}
    # One call says what is wrong, not with which object: ask again one by one.
    dried: dict[Key, Manifest] = {}
    refused: dict[Key, Refusal] = {}
    for item in wanted:
        answer = kubectl.ask(*apply_arguments(dry=True), stdin=as_list([item.manifest]), seconds=30)
        if answer.code == 0:
            dried[item.key] = items(answer.stdout)[0]
        else:
            refused[item.key] = Refusal(answer.stderr)
    return dried, refused


def apply_arguments(*, dry: bool) -> tuple[str, ...]:
    """kubectl's arguments for a server-side apply from stdin. Fields that someone else set are taken back: the step shows them before."""
    return (
        "apply",
        "--server-side",
        "--force-conflicts",
        f"--field-manager={MANAGER}",
        *(("--dry-run=server",) if dry else ()),
        "-o",
        "json",
        "-f",
        "-",
    )


def _left(kubectl: Kubectl, stack: str, wanted: Sequence[Declared]) -> list[Manifest]:
    """Objects with the stack's label that the program no longer declares, and that no controller made."""
    namespaces = sorted({item.key[1] for item in wanted if item.key[1]})
    known = {item.key for item in wanted}
    kinds = [*PRUNABLE.values(), "persistentvolumeclaims"]
    found = [
        item
        for namespace in namespaces
        for item in (*kubectl.find(kinds, namespace=namespace, selector=f"{STACK_LABEL}={stack}"), *cluster_wide(kubectl, stack, namespace))
    ]
    return [item for item in found if key(item) not in known and not item["metadata"].get("ownerReferences")]


def cluster_wide(kubectl: Kubectl, stack: str, namespace: str) -> list[Manifest]:
    """The objects outside every namespace that one tier of a stack has made."""
    return kubectl.find([*CLUSTER_WIDE.values()], selector=f"{STACK_LABEL}={stack},{NAMESPACE_LABEL}={namespace}")


def _stack_of(live: Manifest) -> str | None:
    labels: Mapping[str, str] = live["metadata"].get("labels") or {}
    return labels.get(STACK_LABEL)


def _diagnostics(
    wanted: Iterable[Declared], refused: Mapping[Key, Refusal], kept: Iterable[Key], foreign: Iterable[Key]
) -> Iterable[Diagnostic]:
    urns = {item.key: item.registration.urn for item in wanted}
    for what, refusal in refused.items():
        severity = "info" if refusal.immutable and what[0] not in DATA_KINDS else "error"
        yield Diagnostic(severity=severity, message=refusal.message, urn=urns[what])
    for what in kept:
        yield Diagnostic(severity="warning", message=f"{shown(what)} left the program and is kept: embedded apply never deletes data")
    for what in foreign:
        yield Diagnostic(severity="error", message=f"{shown(what)} exists and is not of this stack", urn=urns[what])
