"""New migration scripts in a preview are judged by what they do to data; those that were there before are not."""

from pathlib import Path

import pytest

from perene.contract.steps import ResourceState, Step, StepDocument
from perene.contract.verdict import Verdict
from perene.safety import gate
from perene.safety.schema_changes import SCRIPTS

LUX = Path(__file__).parents[2] / "examples/direito-lux/migrations"
ORDER = ["SAFE", "DISRUPTIVE", "WEAKENS", "LOSES-DATA"]
TABLES = {"001_tables.up.sql": "CREATE TABLE users (id bigint, phone text);", "001_tables.down.sql": "DROP TABLE users;"}


def state(scripts: dict[str, str], instance: str = "main-g1-lux") -> ResourceState:
    labels = {"perene.dev/role": "migrate", "app.kubernetes.io/instance": instance}
    return ResourceState(type=SCRIPTS, id="lux/scripts", inputs={"metadata": {"labels": labels}, "data": {**scripts, "evidence-1": "{}"}})


def verdict(new: dict[str, str], old: dict[str, str] | None = None, *, instance: str = "main-g1-lux") -> Verdict:
    urn = f"urn:pulumi:prod::perene::perene:k8s:Migrations${SCRIPTS}::main-g1-lux-scripts"
    steps = [Step(op="create-replacement" if old else "create", urn=urn, old=state(old, instance) if old else None, new=state(new))]
    return gate.judge(StepDocument(stack="prod", way="pulumi-preview", asked=True, with_sames=True, steps=tuple(steps)))


@pytest.mark.parametrize(
    ("script", "effect", "said"),
    [
        ("ALTER TABLE users ADD COLUMN email text;", "SAFE", ""),
        ("CREATE TABLE other (id bigint); DROP TABLE other;", "SAFE", ""),
        ("CREATE INDEX users_phone ON users (phone);", "DISRUPTIVE", "nobody writes until it is built"),
        ("ALTER TABLE users DROP COLUMN phone;", "LOSES-DATA", "002_new.up.sql, statement 1: LOSES-DATA"),
        ("SELECT 1; DELETE FROM users;", "LOSES-DATA", "statement 2: LOSES-DATA: every row of public.users"),
        ("DROP TABLE users CASCADE;", "LOSES-DATA", "table public.users goes"),
        ("this is no SQL", "LOSES-DATA", "nothing is known of it"),
    ],
)
def test_what_a_new_script_does_is_the_changes_class(script: str, effect: str, said: str) -> None:
    found = verdict({**TABLES, "002_new.up.sql": script}, TABLES)
    # The ConfigMap itself is replaced, which is a visible interruption.
    assert found.effect == max(effect, "DISRUPTIVE", key=ORDER.index), found.findings
    assert said in str(found.findings)
    assert ("002_new" in str(found.findings)) == (effect != "SAFE")


def test_scripts_that_were_there_are_not_judged_again_and_those_of_another_database_do_not_count() -> None:
    dropping = {**TABLES, "002_old.up.sql": "DROP TABLE users;"}
    assert verdict(dropping, dropping).effect == "DISRUPTIVE"
    only = {"002_old.up.sql": "DROP TABLE users;"}
    assert verdict(only, only, instance="other-g1-lux").effect == "LOSES-DATA"
    assert verdict(dropping, dropping, instance="other-g1-lux").effect == "DISRUPTIVE", "what goes was made by the same scripts"


def test_an_applied_script_with_another_text_is_named() -> None:
    found = verdict({**TABLES, "001_tables.up.sql": "CREATE TABLE users (id bigint);"}, TABLES)
    assert found.effect == "DISRUPTIVE"
    assert "001_tables.up.sql has another text" in str(found.findings)


def test_the_example_comes_up_without_any_loss() -> None:
    scripts = {path.name: path.read_text() for path in LUX.glob("*.sql")}
    found = verdict(scripts)
    assert found.effect in {"SAFE", "DISRUPTIVE"}, found.findings
    assert "LOSES" not in str(found.findings)
