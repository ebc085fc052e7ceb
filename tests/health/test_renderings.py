"""Prometheus and Cloud Monitoring get the same signal: expression, duration, labels."""

import re
from pathlib import Path
from typing import Any

import pytest
from pulumi_gcp import monitoring

from perene.health.prove import rule_of
from perene.health.runbooks import SETTINGS
from perene.health.signals import SIGNALS, Target, cloud_condition, cloud_target, prometheus_groups, rules_for, settings_of, targets_of


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_both_renderings_of_a_signal_say_the_same(signal) -> None:  # type: ignore[no-untyped-def]
    rule, _ = rule_of(signal)
    (in_prometheus,) = prometheus_groups([rule], "s")["groups"][0]["rules"]
    in_cloud = cloud_condition(rule)
    assert in_cloud["query"] == in_prometheus["expr"], "one expression"
    minutes = int(re.fullmatch(r"(\d+)m", in_prometheus["for"])[1])  # type: ignore[index]
    assert in_cloud["duration"] == f"{minutes * 60}s", "one duration, in whole minutes"
    assert in_cloud["labels"] == in_prometheus["labels"]
    assert in_cloud["alert_rule"] == in_prometheus["alert"]


def test_the_cloud_condition_has_only_arguments_that_the_provider_knows() -> None:
    known = set(monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs.__init__.__annotations__)
    known |= set(vars(monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs))
    assert set(cloud_condition(rule_of(SIGNALS[0])[0])) <= known


def test_fractions_are_compared_with_fractions() -> None:
    for signal in SIGNALS:
        if "utilization" in signal.expression or "_ratio" in signal.expression:
            assert 0 < signal.threshold < 1, f"{signal.name}: the metric is a fraction of 0..1"


def test_a_cloud_sql_filter_names_project_and_instance() -> None:
    for signal in SIGNALS:
        rule, _ = rule_of(signal)
        for database in re.findall(r'database_id="([^"]*)"', rule.expression):
            assert ":" in database, f"{signal.name}: a bare instance name matches nothing"


def test_no_range_asks_cloud_monitoring_for_more_than_a_day() -> None:
    seconds = {"m": 60, "h": 3600, "d": 86400}
    for signal in SIGNALS:
        for count, unit in re.findall(r"\[(\d+)([mhd])\]", signal.expression):
            assert int(count) * seconds[unit] <= 86400, signal.name
        assert signal.hold * 60 <= 23.5 * 3600, signal.name


def configured() -> dict[str, Any]:
    """A tier document whose limits are all other than the signals' own."""
    store = {
        "kind": "postgres",
        "workload": "main-g1",
        "volume": {"claim": "c"},
        "backup": {"ways": ["logical"]},
        "slow_query": "750ms",
        "free_space": 0.3,
    }
    backups = {"at": "01:00 UTC", "keep": {"daily": 7}, "drill_every": "7d", "sealed_every": "14d"}
    words = {"stack": "s-prod", "owner": "o@example.com", "namespace": "n", "stores": {"main": store}}
    return {**words, "backups": backups, "alerts": {"disk": 0.9, "connections": 0.7}}


@pytest.mark.parametrize(
    ("kind", "signal", "compared", "said"),
    [
        ("postgres", "volume-full", "0.9", "over 90 % full"),
        ("postgres", "volume-nearly-full", "0.7", "over 70 % full"),
        ("postgres", "connections-high", "0.7", "over 70 % of the connections"),
        ("postgres", "slow-query", "0.75", "over 750 ms"),
        ("postgres", "backup-stale", "104400", "for 29 hours"),
        ("postgres", "backup-unproven", "1231200", ""),
        ("tier", "drill-overdue", "626400", "for 174 hours"),
        ("sealed", "sealed-copy-overdue", "1296000", ""),
        ("cloud-sql", "cloud-disk-full", "0.9", "over 90 % full"),
        ("cloud-sql", "cloud-connections-high", "0.7", "over 70 % of the connections"),
        ("cloud-sql", "backup-stale", "104400", "for 29 hours"),
        ("cloud-sql", "backup-unproven", "1231200", ""),
    ],
)
def test_a_limit_of_the_configuration_reaches_both_renderings_and_the_page(kind: str, signal: str, compared: str, said: str) -> None:
    document = configured()
    cloud = cloud_target(
        stack="s-prod",
        owner="o@example.com",
        store="main",
        database_id="p:i",
        project="p",
        slow_pattern="1",
        max_connections=100,
        limit_bytes=10**12,
        settings=settings_of(document, "main"),
    )
    targets = [target for target in (*targets_of(document), cloud) if target.kind == kind]
    (rule,) = [rule for rule in rules_for(targets) if rule.labels["signal"] == signal]
    (in_prometheus,) = prometheus_groups([rule], "s")["groups"][0]["rules"]
    assert re.search(rf"> {re.escape(compared)}(?![\d.])", in_prometheus["expr"]), in_prometheus["expr"]
    assert cloud_condition(rule)["query"] == in_prometheus["expr"]
    assert said in rule.annotations["summary"]


def test_every_setting_is_one_that_the_configuration_can_say() -> None:
    known = set(settings_of(configured(), "main"))
    assert {signal.setting for signal in SIGNALS} - {""} == known == set(SETTINGS)


def test_a_signal_whose_values_a_target_lacks_is_left_out() -> None:
    bare = Target(stack="s-prod", owner="o@example.com", kind="cloud-sql", store="main", values={"database_id": "p:i"})
    names = {rule.labels["signal"] for rule in rules_for([bare])}
    assert "cloud-database-down" in names
    assert not names & {"cloud-standby-not-ready", "cloud-replication-lag", "cloud-connections-high"}


def test_the_list_covers_what_the_issue_names() -> None:
    names = {signal.name for signal in SIGNALS}
    assert names >= {
        "volume-nearly-full", "volume-full", "volume-full-soon", "connections-high", "cpu-high", "memory-high", "slow-query",
        "backup-failed", "backup-stale", "backup-unproven", "drill-failed", "drill-overdue", "sealed-copy-overdue",
        "wal-archiving-failing", "cloud-standby-not-ready", "cloud-replication-lag", "database-down", "xid-wraparound", "pod-restarting",
        "job-stuck", "repository-locked", "repository-unreadable", "certificate-near-its-end", "retention-lock-changed", "guard-opened",
        "database-log-errors", "cloud-disk-nearly-full", "cloud-disk-full", "cloud-disk-full-soon", "cloud-connections-high",
        "cloud-cpu-high", "cloud-memory-high", "cloud-database-down", "cloud-xid-wraparound", "cloud-wal-archiving-failing",
    }  # fmt: skip


def test_every_runbook_belongs_to_a_signal() -> None:
    from perene.health.runbooks import runbooks

    directory = Path(__file__).parents[2] / "docs/runbooks"
    written = {path.name: path.read_text() for path in directory.glob("*.md")}
    assert written == runbooks(), "write them again: perene alerts runbooks docs/runbooks"
