"""What exists in the cloud against what the tier declares for it, before it is imported.

The engine imports, and in the same change updates what is not as declared. The gate judges that update in the preview; this looks before
there is one, with no engine and no state: every difference, and whether what is declared is weaker than what runs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perene.backup.cloud_sql import SQL_ADMIN, SqlAdmin
from perene.contract.steps import ResourceState, Step, StepDocument
from perene.contract.verdict import Finding
from perene.engine.program import Program, Registration, masked
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import gate

# The provider's name of a setting -> the service's, where they differ.
SETTINGS = {
    "diskSize": "dataDiskSizeGb",
    "diskType": "dataDiskType",
    "diskAutoresize": "storageAutoResize",
    "diskAutoresizeLimit": "storageAutoResizeLimit",
}
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
# Only the provider knows these; they stand in no service.
_PROVIDER_ONLY = {"deletionProtection", "deletionPolicy", "forceDestroy", "project", "instance"}


@dataclass(frozen=True)
class Kind:
    """How one type is read. root, path: address of the object; inputs: the service's answer as the provider's inputs would be."""

    root: str
    path: Callable[[Mapping[str, Any]], str]
    inputs: Callable[[Mapping[str, Any]], dict[str, Any]]


def _instance(found: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(found.get("settings", {}))
    for ours, theirs in SETTINGS.items():
        if theirs in settings:
            settings[ours] = settings.pop(theirs)
    periods = settings.pop("denyMaintenancePeriods", None)
    if periods:
        settings["denyMaintenancePeriod"] = periods[0]
    encryption = found.get("diskEncryptionConfiguration", {}).get("kmsKeyName")
    return {**found, "settings": settings, **({"encryptionKeyName": encryption} if encryption else {})}


def _bucket(found: Mapping[str, Any]) -> dict[str, Any]:
    iam = found.get("iamConfiguration", {})
    rules = [dict(rule) for rule in found.get("lifecycle", {}).get("rule", [])]
    return {
        **found,
        "uniformBucketLevelAccess": iam.get("uniformBucketLevelAccess", {}).get("enabled", False),
        "publicAccessPrevention": iam.get("publicAccessPrevention", "inherited"),
        "lifecycleRules": rules,
    }


def _secret(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**found, "secretId": str(found.get("name", "")).rpartition("/")[2]}


KINDS: Mapping[str, Kind] = {
    INSTANCE: Kind(SQL_ADMIN, lambda declared: f"projects/{declared['project']}/instances/{declared['name']}", _instance),
    "gcp:sql/database:Database": Kind(
        SQL_ADMIN,
        lambda declared: f"projects/{declared['project']}/instances/{declared['instance']}/databases/{declared['name']}",
        dict,
    ),
    "gcp:storage/bucket:Bucket": Kind("https://storage.googleapis.com/storage/v1/", lambda declared: f"b/{declared['name']}", _bucket),
    "gcp:secretmanager/secret:Secret": Kind(
        "https://secretmanager.googleapis.com/v1/",
        lambda declared: f"projects/{declared['project']}/secrets/{declared['secretId']}",
        _secret,
    ),
}


@dataclass(frozen=True)
class Difference:
    """One setting that is not as declared. path: in the provider's words; None stands for a value that is not there."""

    path: str
    exists: Any
    declared: Any

    def __str__(self) -> str:
        return f"{self.path}: is {self.exists!r}, declared {self.declared!r}"


@dataclass(frozen=True)
class Adoption:
    """One resource that is to be imported. findings: what the gate says of changing it to what is declared."""

    name: str
    type: str
    where: str
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> str:
        """The gate's class of the change; SAFE without a difference."""
        return gate.worst(self.findings)


Admin = Callable[[str], SqlAdmin]


def look(program: Program, stack: str, admin: Admin) -> tuple[Adoption, ...]:
    """Everything that the program would import, compared with what exists. admin: a client for an API's root.

    PereneError (exit 3) when it does not exist or cannot be read; exit 2 when nothing is to be adopted.
    """
    wanted = [each for each in program.resources if each.import_id is not None]
    if not wanted:
        raise PereneError(
            "nothing is to be adopted", where=stack, fix="name it under `adopt:` (docs/configuration.md)", exit_code=ExitCode.USAGE
        )
    return tuple(_look(each, stack, admin) for each in wanted)


def _look(wanted: Registration, stack: str, admin: Admin) -> Adoption:
    kind, declared = KINDS[wanted.type], masked(wanted.inputs)
    where = kind.path(declared)
    exists = kind.inputs(admin(kind.root).call("GET", where))
    differences = tuple(_differences(declared, exists, wanted.ignore_changes))
    findings: tuple[Finding, ...] = ()
    if differences:
        before = _with(declared, {each.path: each.exists for each in differences})
        states = [ResourceState(type=wanted.type, id=where, inputs=inputs) for inputs in (before, dict(declared))]
        step = Step(op="update", urn=wanted.urn, old=states[0], new=states[1])
        document = StepDocument(stack=stack, way="declared", asked=True, with_sames=True, steps=(step,))
        findings = gate.judge(document).findings
    return Adoption(name=wanted.name, type=wanted.type, where=where, differences=differences, findings=findings)


def refusal(adoptions: tuple[Adoption, ...]) -> PereneError:
    """Why an adoption that weakens or loses something does not happen, with every reason."""
    bad = [each for each in adoptions if each.worst in {"WEAKENS", "LOSES-DATA"}]
    loses = any(each.worst == "LOSES-DATA" for each in bad)
    text = "; ".join(f"{each.where}: {reason}" for each in bad for finding in each.findings for reason in finding.reasons)
    return PereneError(
        f"what is declared is weaker than what runs: {text}",
        where=", ".join(each.name for each in bad),
        why="adopting it would take a protection away from data that has it now",
        fix="declare what runs, or more; a protection is given up by a change of its own, later",
        exit_code=ExitCode.LOSES_DATA if loses else ExitCode.WEAKENS,
    )


def _differences(declared: Mapping[str, Any], exists: Mapping[str, Any], ignored: tuple[str, ...], path: str = "") -> Iterator[Difference]:
    for name, value in declared.items():
        here = f"{path}{name}"
        if here in ignored or (not path and name in _PROVIDER_ONLY):
            continue
        found = exists.get(name)
        if isinstance(value, Mapping) and isinstance(found, Mapping):
            yield from _differences(value, found, ignored, f"{here}.")
        elif _plain(value) != _plain(found):
            yield Difference(here, found, value)


def _plain(value: Any) -> Any:
    """Comparable: the services write numbers as text, the provider as numbers; an empty list is none."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key != "kind"}
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return sorted(items, key=repr) or None
    return value if isinstance(value, bool) or value is None else str(value)


def _with(declared: Mapping[str, Any], changes: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The declared tree with the values that exist now in it."""
    result = {}
    for name, value in declared.items():
        here = f"{path}{name}"
        if here in changes:
            if changes[here] is not None:
                result[name] = changes[here]
        else:
            result[name] = _with(value, changes, f"{here}.") if isinstance(value, Mapping) else value
    return result
