"""The policy pack on a program's declarations, without the engine: the same rules, before anything is previewed."""

from perene.engine.program import Program, Registration, masked
from policy.declared import Declared
from policy.presence import PRESENCE_RULES
from policy.rules import violations


def check(program: Program) -> list[str]:
    """Every violation of a program, one sentence each, headed by its rule; empty when it may be declared."""
    found = [violation for resource in program.resources for violation in violations(declared(resource))]
    named = [(resource.type, resource.urn) for resource in program.resources]
    return found + [f"{rule.name}: {violation}" for rule in PRESENCE_RULES for violation in rule.violations(named)]


def declared(resource: Registration) -> Declared:
    """A registration as the rules see it."""
    return Declared(
        type=resource.type,
        urn=resource.urn,
        inputs=masked(resource.inputs),
        protect=resource.protect,
        ignore_changes=resource.ignore_changes,
        custom=resource.custom,
    )
