"""Every safety property of every declared resource, switched off one by one: configuration, policy or golden notices each."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from perene.engine import inventory, monitor, policies
from perene.engine.program import Program, Registration, masked
from perene.safety.catalog import Effect, kind_of
from policy.rules import violations

ROOT = Path(__file__).parents[2]
STACKS = ("dev", "staging", "prod")
_ON = {"off": False, "on": True}


def switched_off(test: str, value: Any) -> Any:
    """A value on the dangerous side of a rule; the value itself when there is none that this rule speaks of."""
    if test in _ON:
        return _ON[test]
    if test == "lowered" and isinstance(value, int | float) and not isinstance(value, bool):
        return type(value)(value / 3)
    if test == "lowered" and isinstance(value, str) and value.removesuffix("s").isdigit():
        return f"{int(value.removesuffix('s')) // 3}{'s' * value.endswith('s')}"
    if test in {"items lost", "emptied", "alerts numbed", "thresholds loosened"}:
        return []
    if test.startswith("leaves ") and value == test.removeprefix("leaves "):
        return "OTHER"
    if test.startswith("becomes "):
        return test.removeprefix("becomes ")
    return value


# Least rights of a pod: path below its specification -> the value that gives more. `*` stands for each container.
POD = {
    "securityContext.runAsNonRoot": False,
    "securityContext.seccompProfile.type": "Unconfined",
    "hostNetwork": True,
    "hostPID": True,
    "*.securityContext.allowPrivilegeEscalation": True,
    "*.securityContext.capabilities.drop": [],
    "*.securityContext.readOnlyRootFilesystem": False,
    "*.securityContext.privileged": True,
    "*.securityContext.runAsUser": 0,
    "*.resources.limits.memory": None,
}


def pod_of(inputs: dict[str, Any]) -> dict[str, Any] | None:
    spec = inputs.get("spec") or {}
    template = (spec.get("jobTemplate") or {}).get("spec", spec).get("template") if isinstance(spec, dict) else None
    return template["spec"] if isinstance(template, dict) and "containers" in template.get("spec", {}) else None


def pod_mutants(resource: Registration) -> Iterator[tuple[str, Registration]]:
    """A pod that may do more than it was given, for every container of it."""
    found = pod_of(masked(resource.inputs))
    if found is None:
        return
    containers = [(kind, index) for kind in ("containers", "initContainers") for index in range(len(found.get(kind) or []))]
    for path, value in POD.items():
        for kind, index in containers if path.startswith("*.") else [("", 0)]:
            inputs = copy.deepcopy(masked(resource.inputs))
            pod = pod_of(inputs)
            assert pod is not None
            place: Any = pod[kind][index] if kind else pod
            *parents, last = path.removeprefix("*.").split(".")
            for part in parents:
                place = place.setdefault(part, {})
            if value is None:
                place.pop(last, None)
            else:
                place[last] = value
            yield f"{kind}{index if kind else ''} {path.removeprefix('*.')} {value}".strip(), replace(resource, inputs=inputs)


def mutants(resource: Registration) -> Iterator[tuple[str, Registration]]:
    """(what was switched off, the resource with it switched off)."""
    for option, off in (("protect", False), ("deleted_with", None)):
        if getattr(resource, option):
            yield option, replace(resource, **{option: off})
    if not resource.custom:
        return
    yield from pod_mutants(resource)
    for rule in kind_of(resource.type).rules:
        *parents, last = rule.path.split(".")
        if rule.effect < Effect.WEAKENS:
            continue
        inputs = copy.deepcopy(masked(resource.inputs))
        place: Any = inputs
        for part in parents:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            continue
        off = switched_off(rule.test, place[last])
        if off == place[last]:
            continue
        place[last] = off
        yield f"{rule.path} {rule.test}", replace(resource, inputs=inputs)


def caught_by(program: Program, original: Registration, mutant: Registration, golden: dict[str, Any]) -> str:
    before, after = (set(violations(policies.declared(each))) for each in (original, mutant))
    if after - before:
        return "policy"
    mutated = replace(program, resources=tuple(mutant if each is original else each for each in program.resources))
    return "golden" if inventory.differences(golden, mutated) else ""


@pytest.mark.parametrize("stack", STACKS)
def test_no_safety_property_can_be_switched_off_unseen(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = monitor.run(ROOT, stack)
    golden = yaml.safe_load(inventory.paths(ROOT, stack)[1].read_text())
    found = [
        (original, what, caught_by(program, original, mutant, golden))
        for original in program.resources
        for what, mutant in mutants(original)
    ]
    with capsys.disabled():
        print(f"\n{stack}: {sum(bool(by) for *_, by in found)} of {len(found)} mutants caught")  # noqa: T201 - the list is the product
        for original, what, by in found:
            print(f"  {by or 'MISSED':7} {original.type.rsplit(':', 1)[-1]} {original.name}: {what}")  # noqa: T201
    assert len(found) >= {"dev": 80, "staging": 200, "prod": 200}[stack], (
        "the list is generated from what is declared, so it cannot be short"
    )
    assert not [f"{original.name}: {what}" for original, what, by in found if not by], "each of these could be switched off unseen"
