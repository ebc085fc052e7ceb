"""Prometheus and Cloud Monitoring get the same signal: expression, duration, labels."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from pulumi_gcp import monitoring

from perene.health.prove import example_target, rule_of
from perene.health.signals import SIGNALS, Target, cloud_condition, prometheus_groups, rules_for


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


def test_a_threshold_of_the_configuration_reaches_the_rule() -> None:
    target = example_target("postgres")
    given = {field.name: getattr(target, field.name) for field in fields(target)} | {"thresholds": {"volume-full": 0.9}}
    rules = {rule.labels["signal"]: rule for rule in rules_for([Target(**given)])}
    assert rules["volume-full"].expression.endswith("> 0.9")
    assert rules["volume-nearly-full"].expression.endswith("> 0.8")


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
