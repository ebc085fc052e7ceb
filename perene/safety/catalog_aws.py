"""Catalogue of AWS types: backup buckets with their split settings, secrets, keys, rights, alarms. Not measured: AWS was not run."""

from perene.safety.kinds import SCHEMA, SERVICE, Effect, Kind, Rule, rows

SAFE, DISRUPTIVE, WEAKENS, LOSES = Effect.SAFE, Effect.DISRUPTIVE, Effect.WEAKENS, Effect.LOSES_DATA

BUCKET = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the bucket and every version in it is deleted (force_destroy deletes locked objects too)",
    way_out="create the new bucket beside it, copy, verify, and retire the old one in a change of its own",
    source=SCHEMA,
    replaced_by=("bucket", "bucketPrefix", "objectLockEnabled", "region"),
    rules=rows(
        ("forceDestroy", "on", WEAKENS, "a delete empties the bucket first, locked objects included"),
        ("policy", "changed", WEAKENS, "who may read, write or delete changes"),
        ("acl", "changed", WEAKENS, "who may read changes"),
        source=SCHEMA,
    ),
    harmless=("tags", "tagsAll", "forceDestroy"),
)


def _setting(reason: str, *rules: Rule, harmless: tuple[str, ...] = ()) -> Kind:
    return Kind(
        data=False,
        gone=WEAKENS,
        gone_reason=reason,
        way_out="keep it declared",
        source=SCHEMA,
        replaced_by=("bucket", "expectedBucketOwner"),
        rules=rules,
        harmless=harmless,
        acts_on="bucket",
    )


VERSIONING = Kind(
    data=True,
    gone=WEAKENS,
    gone_reason="versioning is suspended: an overwrite or delete keeps no earlier version",
    way_out="keep it declared",
    source=SCHEMA,
    replaced_by=("bucket",),
    rules=rows(
        ("versioningConfiguration.status", "leaves Enabled", WEAKENS, "versioning is suspended: overwrites and deletes keep no version"),
        ("versioningConfiguration.mfaDelete", "leaves Enabled", WEAKENS, "versions can be deleted without a second factor"),
        source=SCHEMA,
    ),
    harmless=("versioningConfiguration.status", "versioningConfiguration.mfaDelete"),
)

LIFECYCLE = Kind(
    data=True,
    gone=WEAKENS,
    gone_reason="expiry rules go away: old versions pile up, aborted uploads stay",
    way_out="keep it declared",
    source=SCHEMA,
    replaced_by=("bucket",),
    acts_on="bucket",
    rules=rows(
        ("rules", "deletes earlier", LOSES, "objects or versions are deleted earlier, or by a rule that was not there"), source=SCHEMA
    ),
    harmless=("rules", "transitionDefaultMinimumObjectSize"),
)

LOCK = _setting(
    "new objects are no longer locked",
    *rows(
        ("rule.defaultRetention.days", "lowered", WEAKENS, "new objects are locked for a shorter time"),
        ("rule.defaultRetention.years", "lowered", WEAKENS, "new objects are locked for a shorter time"),
        ("rule.defaultRetention.mode", "leaves COMPLIANCE", WEAKENS, "a privileged user may bypass the lock"),
        ("rule.defaultRetention.mode", "becomes COMPLIANCE", WEAKENS, "nobody can undo this lock"),
        source=SCHEMA,
    ),
    harmless=("rule.defaultRetention.days", "rule.defaultRetention.years"),
)

PUBLIC_ACCESS = Kind(
    data=True,
    gone=WEAKENS,
    gone_reason="public access can be opened again",
    way_out="keep it declared",
    source=SCHEMA,
    replaced_by=("bucket",),
    rules=rows(
        *((name, "off", WEAKENS, "the bucket may be made public") for name in ("blockPublicAcls", "blockPublicPolicy")),
        *((name, "off", WEAKENS, "public rights count again") for name in ("ignorePublicAcls", "restrictPublicBuckets")),
        source=SCHEMA,
    ),
    harmless=("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets", "skipDestroy"),
)

SECRET = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the secret is deleted after its recovery window (at once when it is 0): what was encrypted with it is unreadable",
    way_out="keep it declared; rotate by adding a secret beside it",
    source=SCHEMA,
    replaced_by=("name", "namePrefix", "region"),
    rules=rows(
        ("recoveryWindowInDays", "lowered", WEAKENS, "a deleted secret can be restored for a shorter time, with 0 not at all"),
        ("policy", "changed", WEAKENS, "who may read the secret changes"),
        ("kmsKeyId", "changed", WEAKENS, "the secret depends on another key"),
        ("replicas", "items lost", WEAKENS, "a copy in another region goes away"),
        ("forceOverwriteReplicaSecret", "on", WEAKENS, "a secret of the same name elsewhere is overwritten"),
        source=SCHEMA,
    ),
    harmless=("tags", "tagsAll", "description", "replicas", "recoveryWindowInDays"),
)

SECRET_VERSION = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the value loses its labels and is removed by the service: what was encrypted with it is unreadable",
    way_out="keep it declared; one secret per key",
    source=SERVICE,
    replaced_by=("secretId", "secretString", "secretBinary", "secretStringWo", "secretStringWoVersion"),
    rules=rows(
        *(
            (name, "changed", LOSES, "another value becomes current; after the next one the old value is gone (values are masked)")
            for name in ("secretString", "secretBinary", "secretStringWo", "secretStringWoVersion")
        ),
        ("versionStages", "changed", LOSES, "readers get another value, and a value without a label is removed"),
        source=SERVICE,
    ),
)

KEY = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the key is scheduled for deletion: backups and secrets encrypted with it become unreadable",
    way_out="keep it declared; rotate instead",
    source=SCHEMA,
    replaced_by=("customerMasterKeySpec", "keyUsage", "multiRegion", "customKeyStoreId", "xksKeyId"),
    rules=rows(
        ("deletionWindowInDays", "lowered", WEAKENS, "a deleted key can be saved for a shorter time"),
        ("enableKeyRotation", "off", WEAKENS, "the key is no longer rotated"),
        ("isEnabled", "off", WEAKENS, "nothing encrypted with the key can be read while it is disabled"),
        ("policy", "changed", WEAKENS, "who may use the key changes"),
        ("bypassPolicyLockoutSafetyCheck", "on", WEAKENS, "the key can become unmanageable"),
        source=SCHEMA,
    ),
    harmless=("tags", "tagsAll", "description", "enableKeyRotation", "isEnabled", "deletionWindowInDays", "rotationPeriodInDays"),
)

RDS = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the database and, by default, its automated backups are deleted",
    way_out="restore into a new instance beside it",
    source=SCHEMA,
    replaced_by=("identifier", "snapshotIdentifier", "engine", "availabilityZone", "kmsKeyId", "storageEncrypted", "dbName", "username"),
    guards=("deletionProtection",),
    rules=rows(
        ("backupRetentionPeriod", "lowered", LOSES, "backups beyond the new period are deleted"),
        ("deletionProtection", "off", WEAKENS, "the service no longer refuses to delete it"),
        ("deleteAutomatedBackups", "on", WEAKENS, "a delete takes the backups along"),
        ("skipFinalSnapshot", "on", WEAKENS, "a delete takes no final snapshot"),
        ("publiclyAccessible", "on", WEAKENS, "the database gets a public address"),
        ("multiAz", "off", WEAKENS, "the standby is removed"),
        ("engineVersion", "changed", DISRUPTIVE, "an upgrade in place without a way back"),
        ("instanceClass", "changed", DISRUPTIVE, "the instance restarts"),
        source=SCHEMA,
    ),
    harmless=("tags", "tagsAll", "backupWindow", "maintenanceWindow"),
)

RIGHT = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="whoever had this right loses it: backups or readers may fail",
    way_out="add the new right first",
    source=SCHEMA,
    rules=rows(
        ("policy", "changed", WEAKENS, "the rights change"),
        ("assumeRolePolicy", "changed", WEAKENS, "somebody else may act as the role"),
        source=SCHEMA,
    ),
    harmless=("tags", "tagsAll", "description"),
)

ALARM = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="nobody is told any more",
    way_out="declare its successor first",
    source=SCHEMA,
    rules=rows(
        ("actionsEnabled", "off", WEAKENS, "the alarm tells nobody"),
        ("alarmActions", "items lost", WEAKENS, "the alarm reaches fewer people"),
        ("treatMissingData", "leaves breaching", WEAKENS, "silence is no longer an alarm"),
        source=SCHEMA,
    ),
    harmless=("tags", "tagsAll", "alarmDescription", "actionsEnabled", "alarmActions"),
)

CATALOG: dict[str, Kind] = {
    "aws:s3/bucket:Bucket": BUCKET,
    "aws:s3/bucketV2:BucketV2": BUCKET,
    "aws:s3/bucketVersioning:BucketVersioning": VERSIONING,
    "aws:s3/bucketVersioningV2:BucketVersioningV2": VERSIONING,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": LIFECYCLE,
    "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2": LIFECYCLE,
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": LOCK,
    "aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2": LOCK,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": PUBLIC_ACCESS,
    "aws:s3/bucketPolicy:BucketPolicy": _setting(
        "the rules that refuse plain transport and version deletes go away",
        *rows(("policy", "changed", WEAKENS, "the rules change"), source=SCHEMA),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _setting("new objects lose their key"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting("object access lists count again"),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": _setting("new objects have no copy elsewhere"),
    "aws:secretsmanager/secret:Secret": SECRET,
    "aws:secretsmanager/secretVersion:SecretVersion": SECRET_VERSION,
    "aws:secretsmanager/secretPolicy:SecretPolicy": RIGHT,
    "aws:kms/key:Key": KEY,
    "aws:kms/alias:Alias": RIGHT,
    "aws:rds/instance:Instance": RDS,
    "aws:rds/cluster:Cluster": RDS,
    "aws:rekognition/collection:Collection": Kind(
        data=True,
        gone=LOSES,
        gone_reason="the indexed faces are deleted; there is no export",
        way_out="rebuild a new collection beside it from its sources",
        source=SERVICE,
        replaced_by=("collectionId",),
        harmless=("tags", "tagsAll"),
    ),
    "aws:iam/role:Role": RIGHT,
    "aws:iam/policy:Policy": RIGHT,
    "aws:iam/rolePolicy:RolePolicy": RIGHT,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": RIGHT,
    "aws:cloudwatch/metricAlarm:MetricAlarm": ALARM,
    "aws:sns/topic:Topic": ALARM,
    "aws:sns/topicSubscription:TopicSubscription": ALARM,
}
