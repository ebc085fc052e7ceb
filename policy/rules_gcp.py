"""Rules on Google Cloud resources."""

from collections.abc import Iterator

from policy.declared import Declared

_BACKUP = "settings.backupConfiguration"


def _instance_guards(one: Declared) -> Iterator[str]:
    if not one.guarded:
        return
    for path in (
        "deletionProtection",
        "settings.deletionProtectionEnabled",
        "settings.retainBackupsOnDelete",
        "settings.finalBackupConfig.enabled",
    ):
        if one.at(path) is not True:
            yield f"{one.name}: {path} must be true in {one.environment}"


def _instance_backups(one: Declared) -> Iterator[str]:
    if one.at(f"{_BACKUP}.enabled") is not True:
        yield f"{one.name}: automated backups must be on"
    kept = one.at(f"{_BACKUP}.backupRetentionSettings.retainedBackups")
    if not isinstance(kept, int | float) or kept < 7:
        yield f"{one.name}: at least 7 automated backups are kept (found {kept})"
    if one.at(f"{_BACKUP}.backupRetentionSettings.retentionUnit") not in ("COUNT", None):
        yield f"{one.name}: retention is a count"
    days = one.at(f"{_BACKUP}.transactionLogRetentionDays")
    if isinstance(days, int | float) and isinstance(kept, int | float) and kept <= days:
        yield f"{one.name}: {days:g} days of logs need more than {days:g} backups to stand on (found {kept:g})"


def _instance_recovery(one: Declared) -> Iterator[str]:
    edition, pitr = one.at("settings.edition"), one.at(f"{_BACKUP}.pointInTimeRecoveryEnabled")
    days = one.at(f"{_BACKUP}.transactionLogRetentionDays")
    if edition not in {"ENTERPRISE", "ENTERPRISE_PLUS"}:
        yield f"{one.name}: the edition must be declared, its default depends on the version"
    if pitr and not isinstance(days, int | float):
        yield f"{one.name}: days of logs must be declared with point-in-time recovery"
    if isinstance(days, int | float) and days > 7 and edition != "ENTERPRISE_PLUS":
        yield f"{one.name}: {days:g} days of logs exist in Enterprise Plus only"
    if one.at("settings.availabilityType") == "REGIONAL" and not pitr:
        yield f"{one.name}: a regional instance needs point-in-time recovery"
    if one.environment == "prod" and (one.at("settings.availabilityType") != "REGIONAL" or pitr is not True):
        yield f"{one.name}: prod is regional with point-in-time recovery"
    if one.environment == "prod" and edition == "ENTERPRISE_PLUS" and (not isinstance(days, int | float) or days < 30):
        yield f"{one.name}: prod keeps 30 days of logs (found {days})"


def _instance_private(one: Declared) -> Iterator[str]:
    ip = "settings.ipConfiguration"
    if one.at(f"{ip}.ipv4Enabled") is not False:
        yield f"{one.name}: the public address must be switched off (its default is on)"
    if not one.at(f"{ip}.privateNetwork") and not one.at(f"{ip}.pscConfigs"):
        yield f"{one.name}: no private network path is declared"
    if one.at(f"{ip}.sslMode") not in {"ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"}:
        yield f"{one.name}: only encrypted connections may be accepted"
    if one.at(f"{ip}.authorizedNetworks"):
        yield f"{one.name}: no network may be authorized on a public address"
    if one.at("settings.dataApiAccess") == "ALLOW_DATA_API":
        yield f"{one.name}: the data API runs SQL from the internet"


def _instance_disk(one: Declared) -> Iterator[str]:
    if one.at("settings.diskAutoresize") is not True:
        yield f"{one.name}: the disk must grow by itself, a full one stops the database"
    limit, size = one.at("settings.diskAutoresizeLimit"), one.at("settings.diskSize")
    if isinstance(limit, int | float) and isinstance(size, int | float) and 0 < limit < size:
        yield f"{one.name}: the limit {limit:g} lies below the size {size:g}"


def _instance_no_deeds(one: Declared) -> Iterator[str]:
    for path in ("restoreBackupContext", "backupdrBackup"):
        if one.at(path):
            yield f"{one.name}: {path} restores OVER live data as a plain update; use perene restore, which takes a new generation"


def _database(one: Declared) -> Iterator[str]:
    if one.guarded and one.at("deletionPolicy") not in {"PREVENT", "ABANDON"} and not one.protect:
        yield f"{one.name}: a removed database is dropped; protect it or set deletionPolicy"


def _bucket(one: Declared) -> Iterator[str]:
    if one.at("publicAccessPrevention") != "enforced":
        yield f"{one.name}: public access prevention must be enforced"
    if one.at("uniformBucketLevelAccess") is not True:
        yield f"{one.name}: access must be by roles only (uniform)"
    if one.at("forceDestroy") and one.guarded:
        yield f"{one.name}: forceDestroy empties a bucket before deleting it"
    if not _undeletable(one):
        yield f"{one.name}: deleted objects must come back: soft delete of 7 days or more, versions, or a retention policy"
    if one.at("versioning.enabled") and one.at("retentionPolicy"):
        yield f"{one.name}: versions and retention exclude each other"


def _undeletable(one: Declared) -> bool:
    soft = _seconds(one.at("softDeletePolicy.retentionDurationSeconds"))
    return soft >= 7 * 86400 or one.at("versioning.enabled") is True or _seconds(one.at("retentionPolicy.retentionPeriod")) > 0


def _seconds(value: object) -> float:
    try:
        return float(str(value)) if value is not None else 0
    except ValueError:
        return 0


def _bucket_lifecycle(one: Declared) -> Iterator[str]:
    retention = _seconds(one.at("retentionPolicy.retentionPeriod")) / 86400
    for rule in one.at("lifecycleRules") or []:
        condition = rule.get("condition") or {}
        if (rule.get("action") or {}).get("type") != "Delete":
            continue
        waits = [name for name in condition if name not in {"matchesPrefixes", "matchesSuffixes", "withState", "matchesStorageClasses"}]
        if not waits:
            yield f"{one.name}: a delete rule without a wait deletes everything"
        age = condition.get("age")
        if isinstance(age, int | float) and age <= retention:
            yield f"{one.name}: objects of {age:g} days cannot be deleted under {retention:g} days of retention"


def _secret(one: Declared) -> Iterator[str]:
    if one.guarded and one.at("deletionProtection") is not True:
        yield f"{one.name}: deletionProtection must be on"
    for path in ("ttl", "expireTime"):
        if one.at(path):
            yield f"{one.name}: {path} makes the secret delete itself"
    if one.guarded and _seconds(str(one.at("versionDestroyTtl") or "0").removesuffix("s")) < 86400:
        yield f"{one.name}: versionDestroyTtl of a day or more keeps a destroyed version recoverable"


def _alert(one: Declared) -> Iterator[str]:
    if one.at("enabled") is False:
        yield f"{one.name}: the alert is switched off"
    if one.guarded and not one.at("notificationChannels"):
        yield f"{one.name}: the alert tells nobody"
    if not one.at("conditions"):
        yield f"{one.name}: the alert has no condition"


def _channel(one: Declared) -> Iterator[str]:
    if one.at("enabled") is False:
        yield f"{one.name}: a channel that is off drops its alerts silently"
    if one.at("forceDelete") is True:
        yield f"{one.name}: forceDelete takes the channel out of every alert"


_INSTANCE = ("gcp:sql/databaseInstance:DatabaseInstance",)
_BUCKETS = ("gcp:storage/bucket:Bucket",)

GCP_CHECKS = (
    ("cloud-sql-guards", "A guarded instance cannot be deleted, and its backups outlive it.", _INSTANCE, _instance_guards),
    ("cloud-sql-backups", "An instance has enough automated backups.", _INSTANCE, _instance_backups),
    ("cloud-sql-recovery", "Point-in-time recovery fits edition and environment.", _INSTANCE, _instance_recovery),
    ("cloud-sql-private", "An instance is private and speaks TLS only.", _INSTANCE, _instance_private),
    ("cloud-sql-disk", "A disk grows before it is full.", _INSTANCE, _instance_disk),
    ("cloud-sql-no-deeds", "A declaration is no deed: nothing is restored by it.", _INSTANCE, _instance_no_deeds),
    ("cloud-sql-database", "A database is not dropped by leaving the program.", ("gcp:sql/database:Database",), _database),
    ("gcs-bucket", "A bucket is private and its objects come back.", _BUCKETS, _bucket),
    ("gcs-lifecycle", "A lifecycle deletes nothing too early.", _BUCKETS, _bucket_lifecycle),
    ("gcp-secret", "A secret neither expires nor goes at once.", ("gcp:secretmanager/secret:Secret",), _secret),
    ("gcp-alert", "An alert is on and tells somebody.", ("gcp:monitoring/alertPolicy:AlertPolicy",), _alert),
    ("gcp-channel", "A channel is on.", ("gcp:monitoring/notificationChannel:NotificationChannel",), _channel),
)
