"""Alerts on one Cloud SQL instance, on the sealed copy's bucket or on the key, in Cloud Monitoring.

Owns: one alert policy per signal, with its condition in PromQL (the same expression as in Prometheus) or on log entries.
Deliberately does not own: the instance, notification channels, and the metrics.

Produces the following resources:
    AlertPolicy <name>-<signal>
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_gcp.monitoring import (
    AlertPolicy,
    AlertPolicyAlertStrategyArgs,
    AlertPolicyAlertStrategyNotificationRateLimitArgs,
    AlertPolicyConditionArgs,
    AlertPolicyConditionConditionMatchedLogArgs,
    AlertPolicyConditionConditionPrometheusQueryLanguageArgs,
    AlertPolicyDocumentationArgs,
)

from infra import guards
from perene.health.signals import LogCondition, Rule, Target, cloud_condition, documentation, log_conditions_for, rules_for

# A log condition pages at most once in five minutes, and its incident closes by itself.
RATE = "300s"
AUTO_CLOSE = "1800s"


@dataclass(frozen=True, kw_only=True)
class CloudSqlAlertsArgs:
    """bind: `PROJECT:INSTANCE` -> the target (`cloud_target` with everything else filled in); the id is known only after creation,
    and which signals there are must not depend on it.

    channels: ids of notification channels; labels: user labels of each policy.
    """

    project: str
    database_id: pulumi.Input[str]
    bind: Callable[[str], Target]
    channels: Sequence[pulumi.Input[str]]
    labels: dict[str, str]
    protect: bool


class CloudSqlAlerts(pulumi.ComponentResource):
    """The alert policies of one target. signals: their names."""

    signals: list[str]

    def __init__(self, name: str, args: CloudSqlAlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:CloudSqlAlerts", name, None, opts)
        if args.protect and not args.channels:
            raise ValueError(f"{name}: a guarded tier's alerts need somebody to tell")
        self.name, self.args = name, args
        shape = args.bind("project:instance")
        self.database = pulumi.Output.from_input(args.database_id)
        self.signals = []
        for index, rule in enumerate(rules_for([shape])):
            self._policy(rule, self._prometheus(rule, self._expression(index)), None)
        for index, condition in enumerate(log_conditions_for([shape])):
            self._policy(condition, self._log(condition, self._filter(index)), self._strategy())
        self.register_outputs({"signals": self.signals})

    def _expression(self, index: int) -> pulumi.Output[str]:
        return self.database.apply(lambda found: rules_for([self.args.bind(found)])[index].expression)

    def _filter(self, index: int) -> pulumi.Output[str]:
        return self.database.apply(lambda found: log_conditions_for([self.args.bind(found)])[index].filter)

    def _prometheus(self, rule: Rule, query: pulumi.Output[str]) -> AlertPolicyConditionArgs:
        return AlertPolicyConditionArgs(
            display_name=rule.alert,
            condition_prometheus_query_language=AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
                **{**cloud_condition(rule), "query": query}
            ),
        )

    def _log(self, condition: LogCondition, text: pulumi.Output[str]) -> AlertPolicyConditionArgs:
        return AlertPolicyConditionArgs(
            display_name=condition.alert,
            condition_matched_log=AlertPolicyConditionConditionMatchedLogArgs(filter=text, label_extractors=condition.extractors),
        )

    def _strategy(self) -> AlertPolicyAlertStrategyArgs:
        return AlertPolicyAlertStrategyArgs(
            auto_close=AUTO_CLOSE, notification_rate_limit=AlertPolicyAlertStrategyNotificationRateLimitArgs(period=RATE)
        )

    def _policy(
        self, told: Rule | LogCondition, condition: AlertPolicyConditionArgs, strategy: AlertPolicyAlertStrategyArgs | None
    ) -> None:
        signal = told.labels["signal"]
        self.signals.append(signal)
        AlertPolicy(
            f"{self.name}-{signal}",
            project=self.args.project,
            display_name=f"{told.labels['stack']} {told.labels['store']}: {told.alert}",
            combiner="OR",
            severity=told.labels["severity"].upper(),
            conditions=[condition],
            alert_strategy=strategy,
            documentation=AlertPolicyDocumentationArgs(
                content=documentation(told), mime_type="text/markdown", subject=told.annotations["summary"]
            ),
            notification_channels=list(self.args.channels),
            user_labels=self.args.labels,
            opts=guards.within(self, protect=self.args.protect),
        )
