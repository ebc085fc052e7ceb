"""Staging and prod on the real engine and the real Google provider, against the double: what is made, what stays, what is refused."""

from collections.abc import Iterator

import pytest

from tests.doubles.google import Google, serve
from tests.engine_cli import Engine
from tests.house.stacks import program
from tests.programs import needs

pytestmark = [pytest.mark.e2e, needs("pulumi", "pulumi-resource-gcp", "pulumi-resource-kubernetes")]

# The plugins come from PATH, whatever their version: the engine says so, and it is about the machine, not about us.
OF_THE_MACHINE = ("from $PATH", "expected to have version")
TYPES = sorted({one.type for one in program("prod").resources if one.package == "gcp"})


@pytest.fixture(scope="module", params=["staging", "prod"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Google]]:
    """A stack that the engine has created on the double, after a preview without an error or a warning of ours."""
    stack = request.param
    with serve() as (google, address):
        engine = Engine(tmp_path_factory.mktemp(stack), stack, address)
        code, document, text = engine.preview()
        assert code == 0, text
        ours = [said for said in document.get("diagnostics", []) if not any(known in said["message"] for known in OF_THE_MACHINE)]
        assert not [said for said in ours if said["severity"] in {"warning", "error"}], "no error and no warning of ours"
        assert {step["op"] for step in document["steps"]} == {"create"}, "everything is new"
        done = engine.up()
        assert done.returncode == 0, done.stdout
        assert len(google.mutations) > len(google.objects) > 0, "the double was really asked"
        yield engine, google


def test_everything_is_created_and_then_nothing_changes(made: tuple[Engine, Google]) -> None:
    engine, google = made
    declared = {one.urn for one in program(engine.stack).resources}
    assert {each["urn"] for each in engine.resources()} == declared, "everything that is declared is made"

    created = len(google.mutations)
    code, document, text = engine.preview()
    assert code == 0, text
    assert not [step["urn"] for step in document["steps"] if step["op"] != "same"], "what was made is what is declared"
    again = engine.up()
    assert again.returncode == 0, again.stdout
    # What Kubernetes has is no part of it: rendered manifests have no cluster to be read from, so the provider refuses to refresh them.
    code, document, text = engine.drift("--target", "**$gcp:**")
    assert code == 0, text
    assert {step["op"] for step in document["steps"]} <= {"same", "refresh"}, [step for step in document["steps"] if step["op"] == "update"]
    read = {step["urn"] for step in document["steps"] if step["op"] == "refresh"}
    assert {urn for urn in declared if "$gcp:" in urn} <= read, "everything of Google's was really read"
    assert google.mutations[created:] == [], "a second up and a refresh change nothing"


def test_a_refused_destroy_calls_nothing(made: tuple[Engine, Google]) -> None:
    engine, google = made
    created = len(google.mutations)
    refused = engine.call("destroy", "--yes", "--skip-preview", "--non-interactive", "-s", engine.stack)
    assert refused.returncode != 0, "a guarded tier is not destroyed"
    assert google.mutations[created:] == [], "a refused destroy makes no mutating call"


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("made", ["prod"], indirect=True)
def test_a_guarded_resource_that_left_the_program_is_kept(made: tuple[Engine, Google], type_: str) -> None:
    engine, google = made
    resources, created = engine.resources(), len(google.mutations)
    gone = next(each["urn"] for each in resources if each["type"] == type_)
    engine.only([each for each in resources if each["urn"] != gone])
    refused = engine.up()
    assert refused.returncode != 0, "a guarded resource is not removed"
    assert f'resource "{gone}" cannot be deleted' in refused.stdout, refused.stdout
    assert google.mutations[created:] == [], "and nothing is called"
