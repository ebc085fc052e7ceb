"""Rules on AWS resources."""

from collections.abc import Iterator

from policy.declared import Declared


def _bucket(one: Declared) -> Iterator[str]:
    if one.at("forceDestroy") and one.guarded:
        yield f"{one.name}: forceDestroy deletes locked objects too"
    for inline in ("versioning", "lifecycleRules", "objectLockConfiguration", "acl", "policy"):
        if one.at(inline):
            yield f"{one.name}: {inline} belongs into its own resource; both together never settle"


def _versioning(one: Declared) -> Iterator[str]:
    if one.at("versioningConfiguration.status") != "Enabled":
        yield f"{one.name}: versions must be kept"


def _public_access(one: Declared) -> Iterator[str]:
    for path in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if one.at(path) is not True:
            yield f"{one.name}: {path} must be true (its default is false)"


def _lock(one: Declared) -> Iterator[str]:
    retention = one.at("rule.defaultRetention") or {}
    if not retention.get("days") and not retention.get("years"):
        yield f"{one.name}: the lock has no default retention"


def _secret(one: Declared) -> Iterator[str]:
    window = one.at("recoveryWindowInDays")
    if window is not None and window < 7:
        yield f"{one.name}: a recovery window below 7 days loses the secret with one call"


def _key(one: Declared) -> Iterator[str]:
    window = one.at("deletionWindowInDays")
    if one.guarded and window is not None and window < 30:
        yield f"{one.name}: the deletion window of a key is 30 days"
    if one.at("isEnabled") is False:
        yield f"{one.name}: nothing can be read while the key is disabled"


AWS_CHECKS = (
    ("s3-bucket", "A bucket is not emptied by its deletion.", ("aws:s3/bucket:Bucket",), _bucket),
    ("s3-versioning", "Overwritten objects come back.", ("aws:s3/bucketVersioning:BucketVersioning",), _versioning),
    ("s3-private", "A bucket is private.", ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",), _public_access),
    ("s3-lock", "A lock locks.", ("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",), _lock),
    ("aws-secret", "A deleted secret can be restored.", ("aws:secretsmanager/secret:Secret",), _secret),
    ("aws-key", "A deleted key can be saved.", ("aws:kms/key:Key",), _key),
)
