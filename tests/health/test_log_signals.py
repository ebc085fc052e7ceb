"""The log conditions find their events, and nothing beside them: each line of a filter is needed."""

import re
from copy import deepcopy
from typing import Any

import pytest

from perene.health.prove import example_target
from perene.health.signals import LOG_SIGNALS, Target, key_target, log_conditions_for, rules_for, sealed_bucket_target, slow_pattern
from tests.health.log_filter import matches

PROJECT, DATABASE = "acme-prod", "acme-prod:main-g1-abc"


def _postgres(text: str) -> dict[str, Any]:
    return {
        "logName": f"projects/{PROJECT}/logs/cloudsql.googleapis.com%2Fpostgres.log",
        "resource": {"type": "cloudsql_database", "labels": {"database_id": DATABASE}},
        "textPayload": text,
    }


def _backup(status: str) -> dict[str, Any]:
    return {
        "logName": f"projects/{PROJECT}/logs/cloudaudit.googleapis.com%2Fsystem_event",
        "resource": {"type": "cloudsql_database", "labels": {"database_id": DATABASE}},
        "protoPayload": {"methodName": "cloudsql.instances.automatedBackup", "metadata": {"windowStatus": status}},
    }


def _key(principal: str) -> dict[str, Any]:
    return {
        "logName": f"projects/{PROJECT}/logs/cloudaudit.googleapis.com%2Fdata_access",
        "protoPayload": {
            "serviceName": "secretmanager.googleapis.com",
            "methodName": "google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion",
            "resourceName": "projects/123/secrets/data-key/versions/1",
            "authenticationInfo": {"principalEmail": principal},
        },
    }


def _bucket(method: str) -> dict[str, Any]:
    return {
        "logName": "projects/acme-vault/logs/cloudaudit.googleapis.com%2Factivity",
        "resource": {"type": "gcs_bucket", "labels": {"bucket_name": "acme-vault-sealed"}},
        "protoPayload": {"methodName": method},
    }


# signal: (entries that page, entries that must not)
EVENTS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "automated-backup-failed": (
        [_backup("STATUS_FAILED"), _backup("STATUS_ATTEMPT_FAILED"), _backup("STATUS_SKIPPED")],
        [_backup("STATUS_SUCCEEDED")],
    ),
    "slow-statement": (
        [
            _postgres(f"2026-11-24 UTC [7]: LOG:  duration: {ms} ms  statement: select 1")
            for ms in ("5000.000", "5123.5", "9999.1", "60000.0", "123456.7")
        ],
        [_postgres(f"LOG:  duration: {ms} ms  statement: select 1") for ms in ("4999.999", "12.5", "999.0", "0.004")]
        + [_postgres("LOG:  checkpoint complete")],
    ),
    "key-read-by-a-stranger": (
        [_key("mallory@example.com"), _key("app@other.iam.gserviceaccount.com")],
        [_key("app@acme-prod.iam.gserviceaccount.com")],
    ),
    "sealed-bucket-changed": (
        [_bucket("storage.buckets.update"), _bucket("storage.setIamPermissions"), _bucket("storage.buckets.delete")],
        [_bucket("storage.objects.create")],
    ),
    "cloud-database-log-errors": (
        [
            _postgres("PANIC:  could not locate a valid checkpoint record"),
            _postgres('ERROR:  invalid page in block 7 of relation "base/5/1"'),
        ],
        [_postgres('ERROR:  duplicate key value violates unique constraint "users_email_key"')],
    ),
}
CONDITIONS = {
    condition.labels["signal"]: condition
    for condition in log_conditions_for(
        Target(
            stack="s-prod",
            owner="o@example.com",
            kind=kind,
            store="main",
            values={**example_target(kind).values, "slow_pattern": slow_pattern(5000)},
        )
        for kind in ("cloud-sql", "key", "sealed")
    )
}


def test_every_log_signal_has_events_to_prove_it() -> None:
    assert set(EVENTS) == {signal.name for signal in LOG_SIGNALS} == set(CONDITIONS)


@pytest.mark.parametrize("name", EVENTS)
def test_it_finds_its_events_and_no_other(name: str) -> None:
    found, passed = EVENTS[name]
    assert [entry for entry in found if not matches(CONDITIONS[name].filter, entry)] == [], "each of these must page"
    assert [entry for entry in passed if matches(CONDITIONS[name].filter, entry)] == [], "none of these may page"


def _leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [leaf for key, value in tree.items() for leaf in (_leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)])]


@pytest.mark.parametrize("name", EVENTS)
def test_the_same_event_of_another_database_project_bucket_or_secret_is_left_to_others(name: str) -> None:
    event = EVENTS[name][0][0]
    for path in _leaves(event):
        if path in {("protoPayload", "authenticationInfo", "principalEmail"), ("textPayload",)}:
            continue
        other = deepcopy(event)
        inner = other
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "someone-else"
        assert not matches(CONDITIONS[name].filter, other), f"{'.'.join(path)} is not looked at"


@pytest.mark.parametrize("limit", [1, 9, 10, 99, 250, 999, 1000, 5000, 5001, 4096, 60000])
def test_the_pattern_of_slow_statements_is_exact_at_every_limit(limit: int) -> None:
    pattern = re.compile(slow_pattern(limit))
    for milliseconds in {*range(max(limit - 120, 0), limit + 120), 0, limit * 10, limit * 10 - 1, limit // 10, 123456}:
        assert bool(pattern.fullmatch(str(milliseconds))) == (milliseconds >= limit), f"{milliseconds} against {limit}"


def test_no_page_carries_a_statement() -> None:
    entry = "LOG:  duration: 9876.5 ms  statement: select * from users where email = 'ana@example.com'"
    extraction = CONDITIONS["slow-statement"].extractors["milliseconds"]
    pattern = re.fullmatch(r'REGEXP_EXTRACT\(textPayload, "(.*)"\)', extraction)
    assert pattern, "the page's only label is cut out of the text"
    (label,) = re.search(pattern[1], entry).groups()  # type: ignore[union-attr]
    assert label == "9876.5", "exactly one group, and it holds the duration"


def test_the_key_and_the_sealed_bucket_are_bound_with_their_real_names() -> None:
    readers = ("app@acme-prod.iam.gserviceaccount.com", "drill@acme-prod.iam.gserviceaccount.com")
    key = key_target(stack="s-prod", owner="o@example.com", project=PROJECT, secret="data-key", readers=readers)
    (condition,) = log_conditions_for([key])
    assert matches(condition.filter, _key("mallory@example.com"))
    assert not any(matches(condition.filter, _key(reader)) for reader in readers)
    bucket = sealed_bucket_target(stack="s-prod", owner="o@example.com", project="acme-vault", bucket="acme-vault-sealed")
    (condition,) = log_conditions_for([bucket])
    assert matches(condition.filter, _bucket("storage.setIamPermissions"))
    assert rules_for([bucket]) == (), "its age is the tier's own matter"


def test_a_key_that_nobody_may_read_is_refused() -> None:
    with pytest.raises(ValueError, match="name the identities"):
        key_target(stack="s-prod", owner="o@example.com", project=PROJECT, secret="data-key", readers=())
