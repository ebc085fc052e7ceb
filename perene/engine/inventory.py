"""Golden lists of what each stack declares: its URNs, one per line, and an inventory of the attributes that are promises.

An inventory is a subset: what it does not name may be anything; `__missing__` says that a key must not be there; lists match in length.
`python -m perene.engine.inventory STACK...` (or --all) writes both anew.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from perene.engine import monitor, stacks
from perene.engine.program import Program, Registration, masked
from perene.errors import PereneError

MISSING = "__missing__"
DIRECTORY = Path("tests/inventory")

# Type token: the paths of the attributes that a reviewer must see change. Written for every resource of the type when they are set.
PROMISES: dict[str, tuple[str, ...]] = {
    "kubernetes:core/v1:PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.resources.requests.storage"),
    "kubernetes:apps/v1:StatefulSet": (
        "spec.replicas",
        "spec.serviceName",
        "spec.persistentVolumeClaimRetentionPolicy",
        "spec.template.spec.terminationGracePeriodSeconds",
        "spec.template.spec.securityContext",
        "spec.template.spec.volumes",
    ),
    "kubernetes:core/v1:Service": ("spec.type", "spec.clusterIP", "spec.ports"),
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": ("spec",),
    "kubernetes:policy/v1:PodDisruptionBudget": ("spec",),
    "kubernetes:batch/v1:CronJob": (
        "spec.schedule",
        "spec.timeZone",
        "spec.concurrencyPolicy",
        "spec.suspend",
        "spec.startingDeadlineSeconds",
    ),
    "kubernetes:rbac.authorization.k8s.io/v1:Role": ("rules",),
    "gcp:sql/databaseInstance:DatabaseInstance": (
        "databaseVersion",
        "region",
        "deletionProtection",
        "settings.tier",
        "settings.edition",
        "settings.availabilityType",
        "settings.diskSize",
        "settings.diskType",
        "settings.diskAutoresize",
        "settings.diskAutoresizeLimit",
        "settings.deletionProtectionEnabled",
        "settings.retainBackupsOnDelete",
        "settings.finalBackupConfig",
        "settings.backupConfiguration",
        "settings.maintenanceWindow",
        "settings.ipConfiguration",
        "settings.databaseFlags",
        "settings.connectorEnforcement",
    ),
    "gcp:sql/database:Database": ("deletionPolicy",),
    "gcp:monitoring/alertPolicy:AlertPolicy": ("severity", "combiner"),
    "gcp:storage/bucket:Bucket": (
        "location",
        "forceDestroy",
        "softDeletePolicy",
        "retentionPolicy",
        "versioning",
        "publicAccessPrevention",
        "uniformBucketLevelAccess",
        "lifecycleRules",
    ),
    "gcp:secretmanager/secret:Secret": ("replication", "deletionProtection", "versionDestroyTtl"),
    "aws:s3/bucket:Bucket": ("forceDestroy", "objectLockEnabled"),
    "aws:s3/bucketVersioning:BucketVersioning": ("versioningConfiguration",),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": ("rule",),
    "aws:secretsmanager/secret:Secret": ("recoveryWindowInDays", "replicas"),
}


def key(urn: str) -> str:
    """A URN without project and stack: `perene:k8s:Postgres$kubernetes:core/v1:Service::main-g1-service`."""
    return urn.split("::", 2)[2]


def urn_list(program: Program) -> str:
    """The golden list of URNs: sorted, one per line."""
    return "".join(f"{resource.urn}\n" for resource in program.resources)


def inventory(program: Program, earlier: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The golden inventory. What an earlier one names stays named, with today's value; `__missing__` stays as it is."""
    named = (earlier or {}).get("values", {})
    values = {}
    for resource in program.resources:
        merged = _merged(_refreshed(named.get(key(resource.urn), {}), _whole(resource)), _promised(resource))
        if merged:
            values[key(resource.urn)] = merged
    return {"counts": dict(sorted(Counter(resource.type for resource in program.resources).items())), "values": values}


def differences(expected: Mapping[str, Any], program: Program) -> list[str]:
    """What of a golden inventory the program does not keep, one sentence each."""
    actual = {
        "counts": Counter(resource.type for resource in program.resources),
        "values": {key(resource.urn): _whole(resource) for resource in program.resources},
    }
    return list(_subset({name: part for name, part in expected.items() if name in actual}, actual, ""))


def dump(golden: Mapping[str, Any]) -> str:
    """An inventory as YAML text, the same bytes for the same value."""
    return yaml.safe_dump(dict(golden), sort_keys=True, width=120, allow_unicode=True)


def write(root: Path, stack: str) -> tuple[Path, Path]:
    """Write both goldens of a stack and return their paths."""
    program = monitor.run(root, stack)
    urns, values = paths(root, stack)
    earlier = yaml.safe_load(values.read_text(encoding="utf-8")) if values.is_file() else None
    urns.write_text(urn_list(program), encoding="utf-8")
    values.write_text(dump(inventory(program, earlier)), encoding="utf-8")
    return urns, values


def paths(root: Path, stack: str) -> tuple[Path, Path]:
    """Where a stack's goldens lie: the list of URNs, the inventory."""
    return root / DIRECTORY / f"{stack}.urns", root / DIRECTORY / f"{stack}.yaml"


def _whole(resource: Registration) -> dict[str, Any]:
    return {"inputs": masked(resource.inputs), "options": resource.options}


def _promised(resource: Registration) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for path in PROMISES.get(resource.type, ()):
        parts = path.split(".")
        value: Any = masked(resource.inputs)
        for part in parts:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            place = inputs
            for part in parts[:-1]:
                place = place.setdefault(part, {})
            place[parts[-1]] = value
    return {name: part for name, part in (("inputs", inputs), ("options", resource.options)) if part}


def _refreshed(named: Any, actual: Any) -> Any:
    if isinstance(named, Mapping) and isinstance(actual, Mapping):
        return {
            name: MISSING if item == MISSING else _refreshed(item, actual[name])
            for name, item in named.items()
            if item == MISSING or name in actual
        }
    return actual


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**one, **{name: _merged(one.get(name), item) for name, item in other.items()}}
    return other


def _subset(expected: Any, actual: Any, path: str) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for name, item in expected.items():
            here = f"{path} / {name}" if path else str(name)
            if item == MISSING:
                if name in actual:
                    yield f"{here}: must not be there, but is {actual[name]!r}"
            elif name not in actual:
                yield f"{here}: is not declared"
            else:
                yield from _subset(item, actual[name], here)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{path}: has {len(actual)} items instead of {len(expected)}"
        else:
            for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from _subset(one, other, f"{path} / {index}")
    elif expected != actual:
        yield f"{path}: is {actual!r} instead of {expected!r}"


def watched(root: Path) -> list[str]:
    """The stacks with goldens: the project's own, and of each example the one that people would depend on."""
    return [stack for stack, file in stacks.stack_files(root).items() if file.parent == root or stack.endswith("-prod")]


def main(arguments: list[str]) -> int:
    """Write the goldens of the stacks named, or of all."""
    root = stacks.project_root()
    for stack in watched(root) if arguments == ["--all"] else arguments:
        for path in write(root, stack):
            sys.stdout.write(f"{path.relative_to(root)}\n")
    return 0 if arguments else 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PereneError as error:
        sys.exit(str(error))
