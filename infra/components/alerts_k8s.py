"""Alerts in the cluster: the tier's rules for Prometheus.

Owns: the rules, as a PrometheusRule where the operator runs (with the labels that its ruleSelector asks for: without them rules are
ignored silently), else as a ConfigMap that a Prometheus mounts. Deliberately does not own: Prometheus, Alertmanager and who is told.

Produces the following resources:
    PrometheusRule <name> or ConfigMap <name>
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap

from infra import guards
from infra.components import pods
from perene.health.signals import Target, prometheus_groups, rules_for


@dataclass(frozen=True, kw_only=True)
class AlertsArgs:
    """targets: what is watched (`targets_of` the tier document); operator: the Prometheus Operator's kinds exist in this cluster."""

    stack: str
    namespace: str
    labels: Mapping[str, str]
    targets: tuple[Target, ...]
    protect: bool
    operator: bool = False
    rule_labels: Mapping[str, str] = field(default_factory=dict)


class Alerts(pulumi.ComponentResource):
    """The rules of one tier. count: how many there are."""

    count: int

    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:Alerts", name, None, opts)
        rules = rules_for(args.targets)
        self.count = len(rules)
        groups = prometheus_groups(rules, args.stack)
        child = guards.within(self, protect=args.protect)
        if args.operator:
            CustomResource(
                f"{name}-rules",
                api_version="monitoring.coreos.com/v1",
                kind="PrometheusRule",
                metadata=pods.meta(name, args.namespace, {**args.labels, **args.rule_labels}),
                spec=groups,
                opts=child,
            )
        else:
            ConfigMap(
                f"{name}-rules",
                metadata=pods.meta(name, args.namespace, args.labels),
                # JSON is YAML, and renders the same bytes every time
                data={"perene.rules.yml": json.dumps(groups, indent=1, ensure_ascii=False) + "\n"},
                opts=child,
            )
        self.register_outputs({"count": self.count})
