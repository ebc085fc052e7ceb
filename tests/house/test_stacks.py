"""What holds for every stack, whatever it declares."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from perene.engine.objects import batches, declared
from perene.engine.program import Program, Secret
from perene.engine.readiness import SLOW_KINDS
from tests.house.stacks import STACKS, named_by_content, program

# Names under which secrets travel, and the names that only refer to one.
SECRET_NAME = re.compile(r"(?i)(password|passwd|passphrase|secret|token|private_?key|access_?key|credential)s?$")
LIBPQ_PASSWORD = re.compile(r"(?i)\bpassword\s*=\s*[^\s'$]+|://[^/\s:@]+:[^/\s@$]+@")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def everything(declared: Program) -> Iterator[tuple[str, Any]]:
    for resource in declared.resources:
        yield from ((f"{resource.urn}: {path}", value) for path, value in leaves({"inputs": resource.inputs, "outputs": resource.outputs}))
    yield from ((f"output {path}", value) for path, value in leaves(declared.outputs))


def naked_secrets(declared: Program) -> list[str]:
    """Places where something that is called or known to be secret stands in the open."""
    wrapped = {str(value.value) for _, value in everything(declared) if isinstance(value, Secret)}
    found = []
    for place, value in everything(declared):
        named = place.startswith("urn:") and SECRET_NAME.search(place.rpartition(".")[2]) and ".metadata." not in place
        if isinstance(value, str) and value and (named or value in wrapped or LIBPQ_PASSWORD.search(value)):
            found.append(place)
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_stands_in_the_open(stack: str) -> None:
    assert not naked_secrets(program(stack)), "the program holds references, never a secret"


@pytest.mark.parametrize("stack", STACKS)
def test_no_output_was_printed_into_text(stack: str) -> None:
    wrong = [place for place, value in everything(program(stack)) if isinstance(value, str) and "Calling __str__ on an Output" in value]
    assert not wrong, f"an Output in an f-string becomes its warning text: {wrong}"


@pytest.mark.parametrize("stack", STACKS)
def test_every_urn_stands_once(stack: str) -> None:
    twice = [urn for urn, count in Counter(resource.urn for resource in program(stack).resources).items() if count > 1]
    assert not twice, twice


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_of_a_guarded_tier_is_protected(stack: str) -> None:
    declared = program(stack)
    if declared.outputs["tier"]["guarded"]:
        bare = [resource.urn for resource in declared.resources if not resource.protect and not named_by_content(resource)]
        assert not bare, f"a refused destroy must make no call at all, so everything is protected: {bare}"


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_has_an_explicit_provider(stack: str) -> None:
    implicit = [
        resource.urn for resource in program(stack).resources if resource.custom and resource.package != "pulumi" and not resource.provider
    ]
    assert not implicit, f"a default provider takes its target from whoever runs it: {implicit}"


@pytest.mark.parametrize("stack", STACKS)
def test_components_stand_directly_under_the_stack(stack: str) -> None:
    wrong = [
        resource.urn
        for resource in program(stack).resources
        if resource.component and (resource.parent or not re.fullmatch(r"perene:[a-z0-9]+:[A-Z]\w*", resource.type))
    ]
    assert not wrong, f"tokens are perene:<area>:<Name>, without an umbrella above (URNs are for ever): {wrong}"


def test_the_rules_see_what_they_forbid() -> None:
    from perene.engine.program import Registration

    def declares(inputs: dict[str, Any]) -> Program:
        one = Registration(urn="urn:x", type="t", name="x", parent=None, custom=True, id="", inputs=inputs, outputs={})
        return Program(project="p", stack="s", resources=(one,), outputs={})

    for naked in ({"password": "x"}, {"env": {"url": "postgres://u:p@h/d"}}, {"a": Secret("hidden"), "b": ["hidden"]}):
        assert naked_secrets(declares(naked)), f"{naked} must be seen"
    for clean in ({"passwordKeyRef": "name"}, {"secretName": "n"}, {"password": Secret("x")}, {"dsn": "host=h password=$PGPASSWORD"}):
        assert not naked_secrets(declares(clean)), f"{clean} is a reference"


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_waited_for_that_mounts_a_claim_which_is_made_later(stack: str) -> None:
    there: set[str] = set()
    for group in batches(declared(program(stack)), SLOW_KINDS):
        there |= {item.manifest["metadata"]["name"] for item in group if item.manifest["kind"] == "PersistentVolumeClaim"}
        for item in group:
            if item.manifest["kind"] in SLOW_KINDS:
                pod = item.manifest["spec"]["template"]["spec"]
                claims = {
                    volume["persistentVolumeClaim"]["claimName"] for volume in pod.get("volumes", []) if "persistentVolumeClaim" in volume
                }
                assert claims <= there, f"{item.key} would wait for {claims - there} for ever: it depends on them"
