"""What holds for every preview, also for ones that nobody recorded."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perene.contract.verdict import Verdict
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import gate, reading
from perene.safety.catalog import CATALOG, kind_of
from tests.safety import recorded

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DATA_TYPES = sorted(token for token, kind in CATALOG.items() if kind.data)
HARMFUL = [entry["file"] for entry in recorded.index() if entry["class"] in {"data-loss", "protection-weakened"} and not entry["exit_code"]]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.text(max_size=12), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


def judged(document: dict[str, Any]) -> Verdict | None:
    """None: refused as unreadable, which is exit 3."""
    return judged_bytes(json.dumps(document).encode())


def judged_bytes(content: bytes) -> Verdict | None:
    try:
        return gate.judge(reading.parse_steps(content, "test"), now=NOW)
    except PereneError as refused:
        if refused.exit_code != ExitCode.CANNOT_TELL:
            raise
        return None


def one_step(op: str, token: str, inputs: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    urn = f"urn:pulumi:prod::perene::{token}::thing"
    state = {"urn": urn, "type": token, "custom": True, "id": "x", "inputs": inputs, **options}
    sides = {"oldState": state} | ({"newState": state} if op in {"replace", "create-replacement"} else {})
    return {"steps": [{"op": op, "urn": urn, **sides}], "changeSummary": {}, "duration": 1, "config": {}, "diagnostics": []}


@settings(max_examples=150, deadline=None)
@given(
    op=st.sampled_from(["delete", "replace", "delete-replaced", "create-replacement", "discard-replaced", "remove-pending-replace"]),
    token=st.sampled_from(DATA_TYPES) | st.from_regex(r"[a-z]{2,8}:[a-z]{2,8}/[a-z]{2,8}:[A-Z][a-z]{2,8}", fullmatch=True),
    inputs=st.dictionaries(st.sampled_from(["deletionPolicy", "name", "spec", "forceDestroy", "settings"]), values, max_size=4),
    options=st.fixed_dictionaries({}, optional={"protect": st.booleans(), "retainOnDelete": st.booleans(), "delete": st.booleans()}),
)
def test_no_delete_or_replacement_of_data_is_ever_safe(op: str, token: str, inputs: dict[str, Any], options: dict[str, Any]) -> None:
    verdict = judged(one_step(op, token, inputs, options))
    assert kind_of(token).data, "an unknown type counts as data"
    assert verdict is None or verdict.effect != "SAFE"


def paths(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else []
    return [found for key, value in below for found in [(*here, key), *paths(value, (*here, key))]]


def changing_steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in document["steps"] if step["op"] not in {"same", "refresh"} or step.get("oldState") != step.get("newState")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from(HARMFUL))
def test_a_recording_with_a_part_cut_out_of_its_harm_never_becomes_certain_and_safe(data: st.DataObject, name: str) -> None:
    document = recorded.document(name)
    step = data.draw(st.sampled_from([step for step in changing_steps(document) if step["op"] not in {"same", "refresh"}] or [None]))
    if step is None:
        return
    field = data.draw(st.sampled_from(sorted(set(step) - {"diffReasons", "replaceReasons", "detailedDiff"})))
    if data.draw(st.booleans()):
        del step[field]
    else:
        step[field] = data.draw(values)
    verdict = judged(document)
    assert verdict is None or verdict.exit_code != ExitCode.DONE, (
        f"{name}: {field} of {step.get('op')} is broken, and the gate waved it through"
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_input_of_a_protected_kind_with_a_strange_value_is_never_waved_through(data: st.DataObject) -> None:
    document = recorded.document("no-change-prod.json")
    kinds = {
        "DatabaseInstance": ["settings.backupConfiguration.enabled", "settings.deletionProtectionEnabled", "settings.availabilityType"],
        "Bucket": ["publicAccessPrevention", "versioning.enabled", "uniformBucketLevelAccess"],
        "Secret": ["deletionProtection"],
    }
    kind = data.draw(st.sampled_from(sorted(kinds)))
    path = data.draw(st.sampled_from(kinds[kind])).split(".")
    step = next(step for step in document["steps"] if step["urn"].split("::")[2].endswith(f":{kind}"))
    step["op"], step["newState"] = "update", copy.deepcopy(step["newState"])
    target = step["newState"]["inputs"]
    for part in path[:-1]:
        target = target[part]
    strange = data.draw(
        values.filter(lambda value: value not in (True, 1, target[path[-1]]) and str(value).lower() not in {"true", "on", "yes", "enabled"})
    )
    target[path[-1]] = strange
    verdict = judged(document)
    assert verdict is None or verdict.exit_code != ExitCode.DONE, f"{'.'.join(path)} = {strange!r}"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"steps": {}}', b'{"steps": []}', b"Previewing update (prod)\n"])
def test_what_is_no_preview_is_never_zero(content: bytes) -> None:
    verdict = judged_bytes(content)
    assert verdict is None or verdict.exit_code == ExitCode.CANNOT_TELL


def test_a_preview_cut_off_anywhere_is_never_zero() -> None:
    content = recorded.files()["cloudsql-region-change-staging.json"]
    for length in range(0, len(content) - 2, 4999):
        with pytest.raises(PereneError):
            reading.parse_steps(content[:length], "test")


def test_every_rule_names_a_comparison_that_exists() -> None:
    from perene.safety.comparisons import COMPARISONS

    tests = {rule.test for kind in CATALOG.values() for rule in kind.rules}
    assert all(test in COMPARISONS or test.split(" ")[0] in {"leaves", "becomes"} for test in tests)


def test_every_kind_and_rule_has_a_reason_a_way_out_and_a_source() -> None:
    for token, kind in CATALOG.items():
        assert all((kind.gone_reason, kind.source, kind.way_out)), token
        for rule in kind.rules:
            assert all((rule.reason, rule.source, rule.way_out)), f"{token} {rule.path}"
