"""Rules on one declared resource. Each is a name, what it demands, the types it looks at and a pure function that says what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from perene.safety.catalog import EVERYONE, KNOWN_IGNORED, Effect, hides, is_broad, is_right
from policy.declared import Declared
from policy.rules_aws import AWS_CHECKS
from policy.rules_gcp import GCP_CHECKS
from policy.rules_kubernetes import KUBERNETES_CHECKS

Check = Callable[[Declared], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """One mandatory rule. types: exact tokens it looks at, empty for all; violations: one sentence for each fault."""

    name: str
    description: str
    check: Check
    types: tuple[str, ...] = ()

    def violations(self, declared: Declared) -> list[str]:
        """What is wrong with a resource, nothing when the rule does not look at its type."""
        return list(self.check(declared)) if not self.types or declared.type in self.types else []


# Kinds that may go unprotected when their name carries a digest of their content: a protected one could never be replaced.
_BY_CONTENT = ("kubernetes:batch/v1:Job", "kubernetes:core/v1:ConfigMap")


def _protected(declared: Declared) -> Iterator[str]:
    if declared.type in _BY_CONTENT and (declared.at("metadata.labels") or {}).get("perene.dev/named-by-content") == "true":
        return
    if declared.guarded and declared.custom and not declared.protect and not declared.type.startswith(("perene:", "pulumi:pulumi:")):
        yield f"{declared.name} is not protected; every resource of {declared.environment} is, so that a refused destroy makes no call"


def _ignores_nothing_watched(declared: Declared) -> Iterator[str]:
    known = KNOWN_IGNORED.get(declared.type, set())
    for path in declared.ignore_changes:
        if path not in known and hides(path, declared.kind):
            yield f"{declared.name} ignores changes of {path}: a lifted protection would be neither shown nor repaired"


def _no_secret_value(declared: Declared) -> Iterator[str]:
    if declared.type.startswith("random:") or declared.type.endswith((":SecretVersion", ":RegionalSecretVersion")):
        yield f"{declared.name} puts a secret's value into the state; values are made once by perene secrets init"
    if declared.type == "kubernetes:core/v1:Secret" and (declared.at("data") or declared.at("stringData")):
        yield f"{declared.name} carries a secret's value; declare no Secret, perene secrets init makes it"
    for field in ("password", "rootPassword", "secretData", "secretString"):
        if declared.at(field):
            yield f"{declared.name} sets {field}; the program holds references only"


def _narrow_rights(declared: Declared) -> Iterator[str]:
    if not is_right(declared.type):
        return
    kind = declared.type.rsplit(":", 1)[-1].lower()
    if any(everyone in repr(dict(declared.inputs)) for everyone in EVERYONE):
        yield f"{declared.name} gives everyone a right"
    if kind.endswith(("iambinding", "iampolicy")):
        yield f"{declared.name} is authoritative and takes away every right that it does not list; use a single member"
    role = declared.at("role")
    if isinstance(role, str) and is_broad(role) and declared.at("condition") is None:
        yield f"{declared.name} grants {role}, which can do more than any job needs"


def _catalogued(declared: Declared) -> Iterator[str]:
    if declared.kind.gone_reason.startswith("the catalogue does not know"):
        yield f"{declared.name} has the type {declared.type}, which the catalogue does not know: nobody could judge a change of it"


# Irreversible on purpose: the configuration asks for an explicit word before it declares a lock.
_DELIBERATE = {"retentionPolicy.isLocked", "rule.defaultRetention.mode"}


def _nothing_switched_off(declared: Declared) -> Iterator[str]:
    for rule in declared.kind.rules if declared.guarded else ():
        value = declared.at(rule.path)
        if rule.effect < Effect.WEAKENS or value is None or rule.path in _DELIBERATE:
            continue
        verb, _, word = rule.test.partition(" ")
        if (rule.test == "off" and value is False) or (rule.test == "on" and value is True) or (verb == "becomes" and value == word):
            yield f"{declared.name} declares {rule.path}: {value}: {rule.reason}"


RULES: tuple[Rule, ...] = (
    Rule("protected", "In a guarded tier every resource is protected.", _protected),
    Rule("ignores-nothing-watched", "No ignored change hides a protection.", _ignores_nothing_watched),
    Rule("no-secret-value", "No secret's value in the program.", _no_secret_value),
    Rule("narrow-rights", "Rights go to named identities, by narrow roles.", _narrow_rights),
    Rule("nothing-switched-off", "No property stands on the side that the catalogue calls weak.", _nothing_switched_off),
    Rule("catalogued", "Every declared type is in the catalogue.", _catalogued),
    *(Rule(name, description, check, types) for name, description, types, check in (*GCP_CHECKS, *AWS_CHECKS, *KUBERNETES_CHECKS)),
)


def violations(declared: Declared) -> list[str]:
    """Everything that is wrong with one resource, each sentence headed by its rule."""
    return [f"{rule.name}: {violation}" for rule in RULES for violation in rule.violations(declared)]
