"""Staging on the real engine and the real Google provider, against the double: what is made, what stays, what is refused."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import needs
from tests.doubles.google import serve
from tests.engine_cli import Engine

pytestmark = [pytest.mark.e2e, needs("pulumi", "pulumi-resource-gcp", "pulumi-resource-kubernetes")]

# The plugins come from PATH, whatever their version: the engine says so, and it is about the machine, not about us.
OF_THE_MACHINE = ("from $PATH", "expected to have version")


def test_staging_is_created_stays_as_it_is_and_a_refused_destroy_calls_nothing(tmp_path: Path) -> None:
    with serve() as (google, address):
        engine = Engine(tmp_path, "staging", address)
        code, document, text = engine.preview()
        assert code == 0, text
        ours = [said for said in document.get("diagnostics", []) if not any(known in said["message"] for known in OF_THE_MACHINE)]
        assert not [said for said in ours if said["severity"] in {"warning", "error"}], "no error and no warning of ours"
        assert Counter(step["op"] for step in document["steps"]).keys() == {"create"}, "everything is new"

        made = engine.up()
        assert made.returncode == 0, made.stdout
        created = len(google.mutations)
        assert created, "the double was really asked"

        code, document, text = engine.preview()
        assert code == 0, text
        changed = [step["urn"] for step in document["steps"] if step["op"] != "same"]
        assert not changed, "what was made is what is declared"
        again = engine.up()
        assert again.returncode == 0, again.stdout
        assert google.mutations[created:] == [], "a second up changes nothing"

        refused = engine.call("destroy", "--yes", "--skip-preview", "--non-interactive", "-s", "staging")
        assert refused.returncode != 0, "a guarded tier is not destroyed"
        assert google.mutations[created:] == [], "a refused destroy makes no mutating call"
