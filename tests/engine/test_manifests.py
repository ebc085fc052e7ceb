"""Manifests: complete, in an order that can be applied, without secrets, the same bytes every time."""

from pathlib import Path

import pytest
import yaml

from perene.engine import manifests, render
from perene.engine.program import Program
from perene.errors import PereneError
from tests.engine.programs import run

HEAD = """
import pulumi
from pulumi import ResourceOptions as O
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, PersistentVolume, Secret, Service
from pulumi_kubernetes.apps.v1 import StatefulSet
p = Provider("cluster", namespace="home")
o = O(provider=p)
"""


def declared(tmp_path: Path, source: str) -> Program:
    return run(tmp_path, HEAD + source)


def test_group_version_and_kind_come_from_the_type() -> None:
    assert manifests.kind_of("kubernetes:core/v1:Service") == ("v1", "Service")
    assert manifests.kind_of("kubernetes:networking.k8s.io/v1:NetworkPolicy") == ("networking.k8s.io/v1", "NetworkPolicy")


def test_dependencies_and_namespaces_come_first(tmp_path: Path) -> None:
    source = """
class Parts(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("perene:test:Parts", "parts", None, O(providers=[p]))
        ConfigMap("z-inner", metadata={"name": "z"}, opts=O(parent=self))
parts = Parts()
a = ConfigMap("a", metadata={"name": "a"}, data={"k": "1"}, opts=O(provider=p, depends_on=[parts]))
b = ConfigMap("0-b", metadata={"name": "b", "namespace": "far"}, data={"a": a.metadata["name"]}, opts=o)
Namespace("y", metadata={"name": "far"}, opts=o)
"""
    made = manifests.manifests(declared(tmp_path, source))
    assert [manifest.name for manifest in made] == ["far", "z", "a", "b"], "component before dependent, namespace before its objects"
    assert [manifest.namespace for manifest in made] == [None, "home", "home", "far"], "the provider's namespace where none is said"


def test_every_problem_is_told_at_once_and_no_secret_is_shown(tmp_path: Path) -> None:
    source = """
ConfigMap("auto", data={"k": "v"}, opts=o)
Secret("s", metadata={"name": "s"}, string_data={"password": pulumi.Output.secret("hunter2")}, opts=o)
"""
    with pytest.raises(PereneError) as refused:
        manifests.manifests(declared(tmp_path, source))
    assert [problem.what for problem in refused.value.problems] == ["has no metadata.name", "holds a secret"]
    assert "hunter2" not in str(refused.value)


def test_two_resources_for_one_object_are_refused(tmp_path: Path) -> None:
    source = """
ConfigMap("one", metadata={"name": "same"}, opts=o)
ConfigMap("two", metadata={"name": "same", "namespace": "home"}, opts=o)
"""
    with pytest.raises(PereneError, match="home/ConfigMap/same"):
        manifests.manifests(declared(tmp_path, source))


def test_a_rendering_is_the_same_bytes_every_time_and_removes_only_its_own_old_files(tmp_path: Path) -> None:
    source = """
ConfigMap("a", metadata={"name": "A.b"}, data={"k": "1"}, opts=o)
Service("s", metadata={"name": "s"}, spec={"ports": [{"port": 5432}]}, opts=o)
"""
    (tmp_path / "p").mkdir()
    out = tmp_path / "out"
    made = manifests.manifests(run(tmp_path / "p", HEAD + source))
    render.write(made, out)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(first) == ["01-configmap-a.b.yaml", "02-service-s.yaml"]
    (out / "kustomization.yaml").write_text("resources: []\n")
    (out / "03-old-thing.yaml").write_text(f"{render.MARK}urn:old\n")
    render.write(manifests.manifests(run(tmp_path / "p", HEAD + source)), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {**first, "kustomization.yaml": b"resources: []\n"}


def test_text_that_yaml_readers_take_for_something_else_is_quoted(tmp_path: Path) -> None:
    awkward = {
        "a": "1e3",
        "b": "no",
        "c": "0o14",
        "d": "12:30",
        "e": "two\nlines\n",
        "f": "1_000",
        "g": "007",
        "h": "~",
        "on": "y",
        "i": "plain",
    }
    made = manifests.manifests(declared(tmp_path, f'ConfigMap("a", metadata={{"name": "a"}}, data={awkward!r}, opts=o)'))
    written = render.text(made[0])
    assert yaml.safe_load(written)["data"] == awkward
    for quoted in ('a: "1e3"', 'b: "no"', 'c: "0o14"', 'd: "12:30"', 'f: "1_000"', '"on": "y"', "e: |\n", "i: plain"):
        assert quoted in written, f"{quoted} must be unmistakable in:\n{written}"


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    made = manifests.manifests(declared(tmp_path, 'Service("s", metadata={"name": "s"}, spec={"ports": [{"port": 5432}]}, opts=o)'))
    assert "port: 5432\n" in render.text(made[0])
