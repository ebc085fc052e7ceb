"""Hands the pure rules to the engine's policy server."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policy.declared import Declared
from policy.plain import plain
from policy.presence import PRESENCE_RULES, PresenceRule
from policy.rules import RULES, Rule


def resource_policy(rule: Rule) -> ResourceValidationPolicy:
    """A rule on one resource: it stops the engine before the first call to the service."""

    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        declared = Declared(
            type=args.resource_type,
            urn=args.urn,
            inputs=plain(args.props),
            protect=bool(args.opts.protect),
            ignore_changes=tuple(args.opts.ignore_changes or ()),
        )
        for violation in rule.violations(declared):
            report_violation(violation, None)

    return ResourceValidationPolicy(rule.name, rule.description, validate, EnforcementLevel.MANDATORY)


def stack_policy(rule: PresenceRule) -> StackValidationPolicy:
    """A rule on the whole stack. It reads names and types only: a value that is not known yet would end it without a word."""

    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        for violation in rule.violations([(each.resource_type, each.urn) for each in args.resources]):
            report_violation(violation, None)

    return StackValidationPolicy(rule.name, rule.description, validate, EnforcementLevel.MANDATORY)


def start() -> None:
    """Serve the pack; this call returns only when the engine is done."""
    policies = [*map(resource_policy, RULES), *map(stack_policy, PRESENCE_RULES)]
    PolicyPack("perene", policies, EnforcementLevel.MANDATORY)
