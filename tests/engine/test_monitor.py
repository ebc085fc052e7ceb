"""The in-process monitor records what the real engine would be asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from perene.engine import monitor
from perene.engine.program import Secret, masked
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.engine.programs import project, run

ROOT = Path(__file__).parents[2]
NESTED = """
    import pulumi
    from pulumi import ResourceOptions as O

    class Outer(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("perene:test:Outer", name, None, opts)
            inner = Inner(f"{name}-inner", O(parent=self))
            self.register_outputs({})

    class Inner(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("perene:test:Inner", name, None, opts)
            Thing(f"{name}-thing", {"size": 3}, O(parent=self))
            self.register_outputs({})

    class Thing(pulumi.CustomResource):
        def __init__(self, name, props, opts=None):
            super().__init__("test:index:Thing", name, props, opts)

    Outer("a", O(protect=True, aliases=[pulumi.Alias(name="before")]))
    top = Thing("top", {"password": pulumi.Output.secret("hunter2"), "nested": {"list": [pulumi.Output.secret("deep"), 1.5, None, True]}})
    Thing("last", {"of": top.urn}, O(depends_on=[top], deleted_with=top, ignore_changes=["size"], retain_on_delete=True,
          delete_before_replace=False, replace_on_changes=["of"], import_="known", additional_secret_outputs=["x"],
          custom_timeouts=pulumi.CustomTimeouts(create="5m")))
    pulumi.log.warn("look here")
    pulumi.export("answer", {"value": top.id, "number": 42})
"""


def test_urns_are_the_real_engines_with_the_whole_chain_of_components(tmp_path: Path) -> None:
    program = run(tmp_path, NESTED)
    assert [resource.urn for resource in program.resources] == [
        "urn:pulumi:dev::small::perene:test:Outer$perene:test:Inner$test:index:Thing::a-inner-thing",
        "urn:pulumi:dev::small::perene:test:Outer$perene:test:Inner::a-inner",
        "urn:pulumi:dev::small::perene:test:Outer::a",
        "urn:pulumi:dev::small::test:index:Thing::last",
        "urn:pulumi:dev::small::test:index:Thing::top",
    ], "the chain holds every component above and not the stack"


def test_every_option_is_recorded(tmp_path: Path) -> None:
    program = run(tmp_path, NESTED)
    last, top = program.resources[3], program.resources[4]
    assert (
        last.options
        == {
            "ignoreChanges": ["size"],
            "deletedWith": top.urn,
            "retainOnDelete": True,
            "replaceOnChanges": ["of"],
            "additionalSecretOutputs": ["x"],
            "importID": "known",
            "customTimeouts": {"create": "5m"},
        }
        or "deleteBeforeReplace" not in last.options
    ), last.options
    assert last.delete_before_replace is False, "saying no is not the same as saying nothing"
    assert last.dependencies == (top.urn,)
    assert last.property_dependencies == {"of": (top.urn,)}
    assert last.id == "known", "an imported resource has the id that it is imported by"
    assert last.inputs["of"] == top.urn, "outputs are known, as after an apply"
    thing, inner, outer = program.resources[:3]
    assert (thing.protect, inner.protect, outer.protect) == (True, True, True), "protection is inherited"
    assert (thing.parent, outer.parent) == (inner.urn, None)
    assert outer.aliases == ("urn:pulumi:dev::small::perene:test:Outer::before",)
    assert (outer.component, thing.component) == (True, False)


def test_secrets_are_marked_and_their_text_never_shows_them(tmp_path: Path) -> None:
    program = run(tmp_path, NESTED)
    top = program.resources[4]
    assert top.inputs["password"] == Secret("hunter2")
    assert masked(top.inputs)["password"] == "[secret]"
    assert "hunter2" not in repr(program), "a printed program shows no secret"
    assert "deep" not in repr(program), "nor one inside a list"


def test_outputs_and_messages_come_back(tmp_path: Path) -> None:
    program = run(tmp_path, NESTED)
    assert program.outputs == {"answer": {"value": "top", "number": 42}}, "whole numbers stay whole"
    assert [(message.severity, message.text) for message in program.messages] == [("warning", "look here")]


def test_a_program_runs_again_and_again_with_the_same_result(tmp_path: Path) -> None:
    root = project(tmp_path, NESTED)
    first = monitor.run(root, "dev")
    assert all(monitor.run(root, "dev") == first for _ in range(3)), "no state of one run reaches the next"


def test_configuration_reaches_the_program_as_the_engine_hands_it_over(tmp_path: Path) -> None:
    source = """
        import pulumi
        pulumi.export("tier", pulumi.Config("perene").require_object("tier"))
        pulumi.export("stack", [pulumi.get_project(), pulumi.get_stack()])
    """
    program = run(tmp_path, source, "config:\n  perene:tier: {size: 20GiB, at: '02:00', on: [1, 2.5, true]}\n", "vision-prod")
    assert program.outputs["tier"] == {"size": "20GiB", "at": "02:00", "on": [1, 2.5, True]}
    assert program.outputs["stack"] == ["small", "vision-prod"]


def test_two_resources_of_one_urn_are_refused(tmp_path: Path) -> None:
    source = """
        import pulumi
        class T(pulumi.CustomResource):
            def __init__(self, name): super().__init__("test:index:T", name, {})
        T("same"); T("same")
    """
    with pytest.raises(PereneError, match="the same URN: urn:pulumi:dev::small::test:index:T::same"):
        run(tmp_path, source)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("pulumi.runtime.invoke('gcp:x:getX', {})", "looks something up: gcp:x:getX"),
        ("pulumi.CustomResource('test:index:T', 'x', {}, pulumi.ResourceOptions(id='7'))", "reads a foreign resource: test:index:T x"),
        ("pulumi.runtime.register_resource_transform(lambda args: None)", "registers a transform"),
    ],
)
def test_what_only_a_cloud_could_answer_is_refused(tmp_path: Path, call: str, says: str) -> None:
    with pytest.raises(PereneError, match=says) as refused:
        run(tmp_path, f"import pulumi\n{call}\n")
    assert refused.value.exit_code == ExitCode.CANNOT_TELL


def test_an_error_of_the_program_comes_out_as_it_is(tmp_path: Path) -> None:
    raised = """
        import pulumi
        from perene.errors import PereneError
        raise PereneError("too small", where="Pulumi.dev.yaml: disk", fix="make it larger")
    """
    with pytest.raises(PereneError, match="too small") as error:
        run(tmp_path, raised)
    assert error.value.problems[0].fix == "make it larger"
    later = """
        import pulumi
        from perene.errors import PereneError
        def fail(value):
            raise PereneError("inside apply")
        pulumi.Output.from_input(1).apply(fail)
    """
    with pytest.raises(PereneError, match="inside apply"):
        run(tmp_path, later)
    assert run(tmp_path, NESTED).resources, "a failed run leaves nothing behind"


def test_a_stack_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="name one of: dev"):
        monitor.run(project(tmp_path, NESTED), "prod")


def test_an_encrypted_value_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="encrypted") as refused:
        run(tmp_path, NESTED, "config:\n  perene:token: {secure: v1:abcdef}\n")
    assert "abcdef" not in str(refused.value)


def test_yaml_that_readers_understand_differently_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="base 60"):
        run(tmp_path, NESTED, "config:\n  perene:tier: {at: 23:30}\n")


def test_kubernetes_objects_have_the_ids_of_the_real_provider(tmp_path: Path) -> None:
    source = """
        import pulumi
        from pulumi_kubernetes import Provider
        from pulumi_kubernetes.core.v1 import ConfigMap, Namespace
        o = pulumi.ResourceOptions(provider=Provider("cluster", namespace="n"))
        named = ConfigMap("a", metadata={"name": "settings", "namespace": "n"}, data={"k": "v"}, opts=o)
        Namespace("b", metadata={"name": "n"}, opts=o)
        auto = ConfigMap("c", data={"other": named.metadata["name"]}, opts=o)
        pulumi.export("name", auto.metadata["name"])
    """
    program = run(tmp_path, source)
    by_name = {resource.name: resource for resource in program.resources}
    assert (by_name["a"].id, by_name["b"].id, by_name["c"].id) == ("n/settings", "n", "c")
    assert by_name["c"].inputs["data"] == {"other": "settings"}
    assert program.outputs["name"] == "c", "a name that the provider would make up has a stand-in"
    assert by_name["a"].provider == by_name["cluster"].urn, "the provider is referred to by its URN"
    assert by_name["a"].type == "kubernetes:core/v1:ConfigMap"


def test_it_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    project(tmp_path, NESTED)
    code = f"from pathlib import Path; from perene.engine import monitor; print(len(monitor.run(Path({str(tmp_path)!r}), 'dev').resources))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "5", ""), result.stderr
