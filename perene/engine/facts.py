"""What a resource's declaration says about size, guards and data, as tables by type."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perene.engine.program import Registration, masked

PVC = "kubernetes:core/v1:PersistentVolumeClaim"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
CLOUD_SQL = "gcp:sql/databaseInstance:DatabaseInstance"
GCS = "gcp:storage/bucket:Bucket"
S3 = "aws:s3/bucket:Bucket"
GCP_SECRET = "gcp:secretmanager/secret:Secret"  # noqa: S105 - a type token
AWS_SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type token

DATA = frozenset({PVC, CLOUD_SQL, "gcp:sql/database:Database", GCS, S3, GCP_SECRET, AWS_SECRET, "kubernetes:core/v1:PersistentVolume"})


def at(tree: Any, path: str) -> Any:
    """The value at a dotted path of a property tree; None when it is not there."""
    for part in path.split("."):
        tree = (
            tree.get(part) if isinstance(tree, Mapping) else tree[int(part)] if isinstance(tree, list) and len(tree) > int(part) else None
        )
    return tree


def _cloud_sql_size(inputs: Mapping[str, Any]) -> str:
    disk, limit = at(inputs, "settings.diskSize"), at(inputs, "settings.diskAutoresizeLimit")
    growing = f" growing to {limit} GB" if limit else ""
    return f"{at(inputs, 'settings.tier')}, {disk} GB{growing}" if disk else str(at(inputs, "settings.tier") or "")


def _pod_size(inputs: Mapping[str, Any]) -> str:
    requests = at(inputs, "spec.template.spec.containers.0.resources.requests") or {}
    return ", ".join(f"{name} {requests[name]}" for name in ("cpu", "memory") if name in requests)


SIZES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    PVC: lambda inputs: str(at(inputs, "spec.resources.requests.storage") or ""),
    STATEFUL_SET: _pod_size,
    CLOUD_SQL: _cloud_sql_size,
}


def _days(seconds: Any) -> str:
    return f"{int(seconds) // 86400} days"


def _is(path: str, value: object, words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda inputs: words if at(inputs, path) == value else ""


def _says(path: str, words: Callable[[Any], str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda inputs: words(at(inputs, path)) if at(inputs, path) else ""


# Type: one function per guard, giving its words where it is in force.
GUARDS: dict[str, tuple[Callable[[Mapping[str, Any]], str], ...]] = {
    CLOUD_SQL: (
        _is("deletionProtection", True, "the provider refuses to delete it"),
        _is("settings.deletionProtectionEnabled", True, "the service refuses to delete it"),
        _is("settings.retainBackupsOnDelete", True, "its backups outlive it"),
        _is("settings.finalBackupConfig.enabled", True, "a final backup is taken at deletion"),
        _is("settings.availabilityType", "REGIONAL", "a standby in a second zone"),
    ),
    GCS: (
        _is("forceDestroy", False, "refused while anything is in it"),
        _says("softDeletePolicy.retentionDurationSeconds", lambda seconds: f"deleted objects come back for {_days(seconds)}"),
        _says("retentionPolicy.retentionPeriod", lambda seconds: f"nothing in it can be deleted for {_days(seconds)}"),
        _is("retentionPolicy.isLocked", True, "the lock cannot be taken off"),
        _is("versioning.enabled", True, "keeps versions"),
    ),
    S3: (
        _is("forceDestroy", False, "refused while anything is in it"),
        _is("objectLockEnabled", True, "object lock"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": (_is("versioningConfiguration.status", "Enabled", "keeps versions"),),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": (
        _says("rule.defaultRetention.days", lambda days: f"nothing can be deleted for {days} days"),
    ),
    GCP_SECRET: (
        _is("deletionProtection", True, "the provider refuses to delete it"),
        _says("versionDestroyTtl", lambda ttl: f"a destroyed version comes back for {_days(str(ttl).removesuffix('s'))}"),
    ),
    AWS_SECRET: (_says("recoveryWindowInDays", lambda days: f"comes back for {days} days after deletion"),),
    STATEFUL_SET: (_is("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Retain", "its volumes stay when it goes"),),
}


def size(resource: Registration) -> str:
    """A resource's size in words; empty where it has none."""
    return SIZES[resource.type](masked(resource.inputs)) if resource.type in SIZES else ""


def guards(resource: Registration) -> tuple[str, ...]:
    """What stands between a resource and a deletion, the engine's own protection first."""
    return tuple(filter(None, _guards(resource)))


def _guards(resource: Registration) -> Iterator[str]:
    yield "protected" if resource.protect else ""
    yield "stays when it leaves the program" if resource.retain_on_delete else ""
    for guard in GUARDS.get(resource.type, ()):
        yield guard(masked(resource.inputs))
