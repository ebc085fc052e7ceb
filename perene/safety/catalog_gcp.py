"""Catalogue of Google Cloud types: databases, buckets, secrets, keys, monitoring, jobs and rights."""

from perene.safety.kinds import DESIGN, SCHEMA, SERVICE, SOURCE, Effect, Kind, rows

SAFE, DISRUPTIVE, WEAKENS, LOSES = Effect.SAFE, Effect.DISRUPTIVE, Effect.WEAKENS, Effect.LOSES_DATA
_BACKUP = "settings.backupConfiguration"
_NEW_PLACE = "declare a new generation beside it, restore into that, move clients, and retire the old one in a change of its own"

DATABASE_INSTANCE = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the instance with all its databases and its automated backups is deleted; databases and users go before the guard refuses",
    way_out=_NEW_PLACE,
    replaced_by=(
        "name",
        "project",
        "region",
        "encryptionKeyName",
        "masterInstanceName",
        "replicaConfiguration",
        "settings.collation",
        "settings.diskSize",
        "settings.ipConfiguration.privateNetwork",
        "settings.timeZone",
    ),
    guards=(
        "deletionProtection",
        "settings.deletionProtectionEnabled",
        "settings.retainBackupsOnDelete",
        "settings.finalBackupConfig.enabled",
    ),
    rules=rows(
        (f"{_BACKUP}.enabled", "off", WEAKENS, "automated backups stop, and point-in-time recovery with them"),
        (f"{_BACKUP}.pointInTimeRecoveryEnabled", "off", WEAKENS, "transaction logs are deleted: only whole backups remain"),
        (f"{_BACKUP}.pointInTimeRecoveryEnabled", "on", DISRUPTIVE, "switching point-in-time recovery on restarts the instance"),
        (
            f"{_BACKUP}.transactionLogRetentionDays",
            "lowered",
            LOSES,
            "transaction logs beyond the new limit are purged: the window shrinks",
        ),
        (f"{_BACKUP}.backupRetentionSettings.retainedBackups", "lowered", LOSES, "the oldest backups beyond the new count are deleted"),
        (f"{_BACKUP}.backupRetentionSettings.retentionUnit", "leaves COUNT", WEAKENS, "retention is no longer a count of backups"),
        (f"{_BACKUP}.location", "changed", DISRUPTIVE, "future backups lie elsewhere; existing ones stay where they are"),
        ("deletionProtection", "off", WEAKENS, "the provider no longer refuses to delete the instance"),
        ("settings.deletionProtectionEnabled", "off", WEAKENS, "the service accepts a delete of the instance from any client"),
        ("settings.retainBackupsOnDelete", "off", WEAKENS, "backups no longer survive a deletion of the instance"),
        ("settings.finalBackupConfig.enabled", "off", WEAKENS, "a deletion takes no final backup"),
        ("settings.finalBackupConfig.retentionDays", "lowered", WEAKENS, "the final backup is kept for a shorter time"),
        ("settings.availabilityType", "leaves REGIONAL", WEAKENS, "the standby is removed: a zone failure is an outage"),
        ("settings.availabilityType", "becomes REGIONAL", DISRUPTIVE, "adding a standby may restart the instance"),
        ("settings.diskAutoresize", "off", WEAKENS, "the disk no longer grows: a full disk stops the database"),
        ("settings.diskAutoresizeLimit", "limit lowered", WEAKENS, "a lower limit stops growth earlier: a full disk stops the database"),
        ("settings.diskType", "changed", DISRUPTIVE, "the disk is migrated in place, with an interruption"),
        (
            "settings.edition",
            "leaves ENTERPRISE_PLUS",
            WEAKENS,
            "Enterprise keeps at most 7 days of logs and has a lower availability goal",
        ),
        ("settings.edition", "changed", DISRUPTIVE, "the edition changes in place with an interruption"),
        ("settings.tier", "changed", DISRUPTIVE, "the instance restarts on another machine"),
        ("settings.activationPolicy", "leaves ALWAYS", DISRUPTIVE, "the instance stops: an outage, and automated backups are skipped"),
        ("settings.activationPolicy", "becomes ALWAYS", DISRUPTIVE, "the instance starts"),
        ("databaseVersion", "lowered", WEAKENS, "a version cannot go back in place: the service refuses, or a replacement loses the data"),
        (
            "databaseVersion",
            "raised",
            DISRUPTIVE,
            "a major upgrade in place with an interruption and no way back but a restore into a new instance",
        ),
        ("settings.databaseFlags", "risky flags", WEAKENS, "a flag trades durability for speed, or the service refuses it"),
        ("settings.databaseFlags", "changed", DISRUPTIVE, "changed flags may restart the instance"),
        ("settings.ipConfiguration.ipv4Enabled", "on", WEAKENS, "the instance gets a public address"),
        ("settings.ipConfiguration.ipv4Enabled", "off", DISRUPTIVE, "clients of the public address lose it"),
        ("settings.ipConfiguration.authorizedNetworks", "items added", WEAKENS, "more networks may reach the public address"),
        ("settings.ipConfiguration.authorizedNetworks", "items lost", DISRUPTIVE, "clients of the removed networks lose access"),
        ("settings.ipConfiguration.sslMode", "becomes ALLOW_UNENCRYPTED_AND_ENCRYPTED", WEAKENS, "unencrypted connections are accepted"),
        (
            "settings.ipConfiguration.sslMode",
            "leaves TRUSTED_CLIENT_CERTIFICATE_REQUIRED",
            WEAKENS,
            "client certificates are no longer required",
        ),
        ("settings.ipConfiguration.sslMode", "changed", DISRUPTIVE, "clients that do not meet the new mode are refused"),
        (
            "settings.ipConfiguration.privateNetwork",
            "changed",
            DISRUPTIVE,
            "the instance moves to another network: clients lose its address",
        ),
        ("settings.ipConfiguration", "changed", DISRUPTIVE, "the network settings of the instance change"),
        ("settings.connectorEnforcement", "leaves REQUIRED", WEAKENS, "clients may connect without the authenticating proxy"),
        ("settings.connectorEnforcement", "becomes REQUIRED", DISRUPTIVE, "clients without the proxy are refused"),
        ("settings.dataApiAccess", "becomes ALLOW_DATA_API", WEAKENS, "SQL can be run from the internet, even with a private address"),
        ("settings.passwordValidationPolicy", "changed", WEAKENS, "the rules for passwords change"),
        ("settings.locationPreference", "changed", DISRUPTIVE, "the instance moves to another zone"),
        ("rootPassword", "changed", DISRUPTIVE, "the administrator's password changes: clients that use it fail until updated"),
        ("rootPasswordWo", "changed", DISRUPTIVE, "the administrator's password changes"),
        ("rootPasswordWoVersion", "changed", DISRUPTIVE, "the administrator's password changes"),
        ("maintenanceVersion", "changed", DISRUPTIVE, "maintenance runs now, with a restart"),
        ("instanceType", "changed", DISRUPTIVE, "the role of the instance changes (a replica is promoted or the reverse)"),
        ("replicationCluster", "changed", DISRUPTIVE, "the disaster-recovery replica changes"),
        ("settings.diskSize", "raised", SAFE, "the disk grows online; it can never shrink again"),
        ("settings.insightsConfig.queryStringLength", "changed", DISRUPTIVE, "this restarts the instance"),
        ("settings.insightsConfig.queryInsightsEnabled", "off", WEAKENS, "the slow-query alert loses its metric"),
    )
    + rows(
        (
            "restoreBackupContext",
            "set",
            LOSES,
            "a backup is restored OVER the live database, in place: everything since is lost, no guard applies",
        ),
        (
            "backupdrBackup",
            "set",
            LOSES,
            "a backup is restored OVER the live database, in place: everything since is lost, no guard applies",
        ),
        way_out="restore into a new generation beside it: perene restore",
    )
    + rows(
        ("deletionPolicy", "leaves PREVENT", WEAKENS, "the provider no longer refuses to delete the instance"),
        ("deletionPolicy", "becomes ABANDON", WEAKENS, "a later removal orphans the instance instead of failing"),
        ("deletionPolicy", "becomes DELETE", WEAKENS, "a later removal really deletes"),
        source=SOURCE,
    ),
    harmless=(
        "clone",
        "pointInTimeRestoreContext",
        "deletionPolicy",
        "settings.userLabels",
        "settings.maintenanceWindow",
        "settings.denyMaintenancePeriod",
        "settings.insightsConfig",
        "settings.diskSize",
        "settings.pricingPlan",
        "settings.version",
        f"{_BACKUP}.startTime",
        f"{_BACKUP}.backupRetentionSettings.retainedBackups",
        f"{_BACKUP}.transactionLogRetentionDays",
        f"{_BACKUP}.enabled",
        "restoreBackupContext",
        "backupdrBackup",
    ),
)

DATABASE = Kind(
    data=True,
    gone=LOSES,
    gone_reason="DROP DATABASE: every table in it is lost while the instance stays",
    way_out="import or alias it under its new name; remove a database in a change of its own after a proven dump",
    replaced_by=("name", "instance", "project"),
    rules=rows(
        ("deletionPolicy", "leaves PREVENT", WEAKENS, "the provider no longer refuses to drop the database"),
        ("deletionPolicy", "leaves ABANDON", WEAKENS, "a later removal really drops the database"),
        ("charset", "changed", WEAKENS, "PostgreSQL cannot change the encoding of an existing database: refused, or replaced and lost"),
        ("collation", "changed", WEAKENS, "PostgreSQL cannot change the collation of an existing database: refused, or replaced and lost"),
    ),
    harmless=("deletionPolicy",),
)

USER = Kind(
    data=False,
    gone=DISRUPTIVE,
    gone_reason="the role is dropped: whoever logs in with it fails (PostgreSQL refuses while it owns objects)",
    way_out="add the new role first, move clients, then remove the old one",
    replaced_by=("name", "instance", "host", "type", "project"),
    rules=rows(
        ("password", "changed", DISRUPTIVE, "the password changes: clients fail until updated"),
        ("passwordWo", "changed", DISRUPTIVE, "the password changes: clients fail until updated"),
        ("passwordWoVersion", "changed", DISRUPTIVE, "the password changes: clients fail until updated"),
        ("databaseRoles", "changed", WEAKENS, "the rights of the role change"),
        ("deletionPolicy", "changed", DISRUPTIVE, "what a later removal does changes"),
    ),
    other=WEAKENS,
)

BUCKET = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the bucket and what is in it is deleted; bindings on it go first, even when the bucket then refuses because it is not empty",
    way_out="create the new bucket beside it, copy, verify, and retire the old one in a change of its own",
    replaced_by=(
        "name",
        "location",
        "project",
        "enableObjectRetention",
        "customPlacementConfig.dataLocations",
        "hierarchicalNamespace",
        "retentionPolicy.isLocked",
    ),
    guards=("versioning.enabled", "uniformBucketLevelAccess"),
    rules=rows(
        ("lifecycleRules", "deletes earlier", LOSES, "objects are deleted earlier, or by a rule that was not there"),
        ("forceDestroy", "on", WEAKENS, "a delete or replacement empties the bucket first instead of failing"),
        ("retentionPolicy.retentionPeriod", "lowered", WEAKENS, "objects can be deleted sooner by anyone with the right to delete"),
        ("retentionPolicy.isLocked", "on", WEAKENS, "the lock cannot be undone, and the bucket cannot go until every object has aged out"),
        ("retentionPolicy.isLocked", "off", WEAKENS, "the retention can be shortened or removed"),
        (
            "softDeletePolicy.retentionDurationSeconds",
            "lowered",
            WEAKENS,
            "deleted objects can be restored for a shorter time, or not at all",
        ),
        ("versioning.enabled", "off", WEAKENS, "an overwrite or delete keeps no earlier version"),
        ("publicAccessPrevention", "leaves enforced", WEAKENS, "the bucket may be made public"),
        ("uniformBucketLevelAccess", "off", WEAKENS, "object access lists come back: access is no longer only by roles"),
        ("encryption.defaultKmsKeyName", "changed", WEAKENS, "new objects depend on another key"),
        ("defaultEventBasedHold", "off", WEAKENS, "new objects are no longer held"),
        ("logging", "changed", WEAKENS, "access logs go elsewhere or stop"),
        ("ipFilter", "changed", WEAKENS, "who may reach the bucket changes"),
        ("cors", "changed", DISRUPTIVE, "browsers may be refused"),
        ("website", "changed", DISRUPTIVE, "the website settings change"),
        ("requesterPays", "changed", DISRUPTIVE, "readers must pay or are refused"),
        ("rpo", "leaves ASYNC_TURBO", WEAKENS, "objects reach the second region later"),
        ("deletionPolicy", "leaves PREVENT", WEAKENS, "the provider no longer refuses to delete the bucket"),
    ),
    harmless=(
        "labels",
        "lifecycleRules",
        "storageClass",
        "autoclass",
        "rpo",
        "forceDestroy",
        "retentionPolicy.retentionPeriod",
        "softDeletePolicy.retentionDurationSeconds",
        "deletionPolicy",
    ),
)

SECRET = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the secret is deleted at once with every version: what was encrypted with it is unreadable",
    way_out="keep it declared; rotate by adding a secret beside it (a new generation)",
    replaced_by=("secretId", "project", "replication"),
    guards=("deletionProtection",),
    rules=rows(
        ("ttl", "set", LOSES, "the secret deletes itself when the time is over, without any later step"),
        ("expireTime", "set", LOSES, "the secret deletes itself at that time, without any later step"),
        ("versionDestroyTtl", "removed", WEAKENS, "a destroyed version cannot be recovered any more"),
        ("versionDestroyTtl", "lowered", WEAKENS, "a destroyed version can be recovered for a shorter time"),
        ("deletionProtection", "off", WEAKENS, "the provider no longer refuses to delete the secret"),
        ("deletionPolicy", "leaves PREVENT", WEAKENS, "the provider no longer refuses to delete the secret"),
        ("versionAliases", "changed", WEAKENS, "readers of an alias get another version"),
        ("rotation", "changed", DISRUPTIVE, "rotation reminders change"),
        ("topics", "changed", WEAKENS, "notifications about the secret go elsewhere or stop"),
    ),
    harmless=("labels", "annotations", "ttl", "expireTime", "versionDestroyTtl", "deletionPolicy", "tags"),
)

SECRET_VERSION = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the version is DESTROYED, irrecoverably: what was encrypted with it is unreadable (values are masked, nobody can compare)",
    way_out="keep it declared; put a new value into a new version resource and leave the old one enabled",
    replaced_by=("secretData", "secretDataWo", "secretDataWoVersion", "isSecretDataBase64", "secret"),
    rules=rows(
        ("secretData", "changed", LOSES, "the value is replaced and the old one is destroyed"),
        ("secretDataWo", "changed", LOSES, "the value is replaced and the old one is destroyed"),
        ("secretDataWoVersion", "changed", LOSES, "the value is replaced and the old one is destroyed"),
        ("enabled", "off", WEAKENS, "readers of the version are refused"),
        ("deletionPolicy", "leaves PREVENT", WEAKENS, "the provider no longer refuses to destroy the version"),
        ("deletionPolicy", "leaves ABANDON", WEAKENS, "a later removal really destroys the version"),
    ),
    harmless=("enabled", "deletionPolicy"),
)

CRYPTO_KEY = Kind(
    data=True,
    gone=LOSES,
    gone_reason="its versions are destroyed: everything encrypted with the key is unreadable, backups too",
    way_out="keep it declared; rotate by adding a key",
    replaced_by=("name", "keyRing", "purpose", "destroyScheduledDuration", "importOnly", "skipInitialVersionCreation"),
    source=SCHEMA,
    rules=rows(
        ("rotationPeriod", "changed", DISRUPTIVE, "new data uses another version sooner or later"),
        ("destroyScheduledDuration", "lowered", WEAKENS, "a destroyed version can be saved for a shorter time"),
        source=SCHEMA,
    ),
    harmless=("labels",),
)

ALERT_POLICY = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="nobody is told any more",
    way_out="replace an alert by declaring the new one first, in the same change with its reason",
    rules=rows(
        ("notificationChannels", "items lost", WEAKENS, "the alert reaches fewer people, or fires into the void"),
        ("enabled", "off", WEAKENS, "the alert is switched off"),
        ("conditions", "thresholds loosened", WEAKENS, "the alert fires later, on something else, or not at all"),
        ("conditions", "changed", DISRUPTIVE, "its condition changes"),
        ("combiner", "becomes AND", WEAKENS, "all conditions must hold before it fires"),
        ("combiner", "becomes AND_WITH_MATCHING_RESOURCE", WEAKENS, "all conditions must hold before it fires"),
        ("severity", "leaves CRITICAL", WEAKENS, "the alert pages less loudly"),
        ("alertStrategy", "changed", WEAKENS, "how often and how long the alert speaks changes"),
    ),
    harmless=("displayName", "documentation", "userLabels", "conditions", "severity", "notificationChannels", "enabled"),
)

CHANNEL = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="every alert on this channel loses it",
    way_out="add the new channel, move the alerts, then remove the old one",
    replaced_by=("project",),
    rules=rows(
        ("labels", "changed", WEAKENS, "alerts go to somebody else"),
        ("sensitiveLabels", "changed", WEAKENS, "alerts go to somebody else"),
        ("type", "changed", WEAKENS, "alerts go another way"),
        ("enabled", "off", WEAKENS, "the channel is switched off: its alerts are dropped silently"),
        ("forceDelete", "on", WEAKENS, "a delete takes the channel out of every alert that uses it"),
    ),
    harmless=("displayName", "description", "userLabels", "enabled", "forceDelete"),
)

METRIC = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="alerts on this metric fall silent",
    way_out="declare the new metric first and move the alerts",
    replaced_by=("name", "project"),
    rules=rows(("filter", "changed", WEAKENS, "the metric counts something else"), ("disabled", "on", WEAKENS, "the metric stops")),
    harmless=("description", "disabled"),
)

SCHEDULED_JOB = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="the scheduled backup or export stops",
    way_out="declare its successor first",
    replaced_by=("name", "project", "region"),
    rules=rows(
        ("schedule", "rarer", WEAKENS, "it runs more rarely, or never"),
        ("paused", "on", WEAKENS, "it is paused: nothing runs though the job looks enabled"),
        ("httpTarget", "changed", WEAKENS, "it calls something else"),
        ("pubsubTarget", "changed", WEAKENS, "it calls something else"),
        ("appEngineHttpTarget", "changed", WEAKENS, "it calls something else"),
    ),
    harmless=("schedule", "paused", "timeZone", "description", "attemptDeadline", "retryConfig"),
)

RIGHT = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="whoever had this right loses it: backups or readers may fail",
    way_out="add the new right first and remove the old one after a successful run",
    replaced_by=("role", "member", "members", "bucket", "secretId", "project", "condition"),
    rules=rows(
        ("role", "changed", WEAKENS, "the role changes"),
        ("member", "changed", WEAKENS, "somebody else gets the right"),
        ("members", "changed", WEAKENS, "the right goes to others"),
        ("condition", "changed", WEAKENS, "when the right applies changes"),
        ("policyData", "changed", WEAKENS, "the whole policy is replaced"),
    ),
)

IDENTITY = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="the identity is deleted: its jobs fail, and its bindings point to a deleted account",
    way_out="move jobs and bindings to the new identity first",
    replaced_by=("accountId", "project"),
    rules=rows(("disabled", "on", WEAKENS, "the identity is switched off: its jobs fail")),
    harmless=("displayName", "description", "disabled"),
)

WORKFLOW = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="what it does (an export) stops",
    way_out="declare its successor first",
    replaced_by=("region", "project", "name"),
    rules=rows(
        ("sourceContents", "changed", DISRUPTIVE, "the workflow does something else: read its text"),
        ("serviceAccount", "changed", WEAKENS, "the workflow runs as somebody else"),
        ("deletionProtection", "off", DISRUPTIVE, "the workflow can be deleted"),
    ),
    harmless=("description", "labels", "callLogLevel", "userEnvVars", "deletionProtection"),
    other=DISRUPTIVE,
)

NETWORK = Kind(
    data=False,
    gone=DISRUPTIVE,
    gone_reason="clients lose the way to the stores",
    way_out="build the new path first",
    source=SERVICE,
    rules=rows(("deletionPolicy", "changed", DISRUPTIVE, "what a later removal does changes")),
    harmless=("labels", "description"),
    other=DISRUPTIVE,
)

REDIS = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the instance and its snapshots are deleted",
    way_out=_NEW_PLACE,
    source=SCHEMA,
    replaced_by=("name", "region", "project", "authorizedNetwork", "tier", "connectMode"),
    guards=("deletionProtection", "deletionProtectionEnabled"),
    rules=rows(
        ("persistenceConfig", "changed", LOSES, "switching persistence off deletes the snapshots"),
        ("deletionProtection", "off", WEAKENS, "the provider no longer refuses to delete it"),
        ("deletionProtectionEnabled", "off", WEAKENS, "the service no longer refuses to delete it"),
        ("authEnabled", "off", WEAKENS, "anyone on the network may connect"),
        ("transitEncryptionMode", "becomes DISABLED", WEAKENS, "traffic is no longer encrypted"),
        source=SCHEMA,
    ),
    harmless=("labels", "displayName"),
)

PROJECT_SETTING = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="a service or organisation rule goes away",
    other=WEAKENS,
    source=DESIGN,
    harmless=("disableOnDestroy",),
)

CATALOG: dict[str, Kind] = {
    "gcp:sql/databaseInstance:DatabaseInstance": DATABASE_INSTANCE,
    "gcp:sql/database:Database": DATABASE,
    "gcp:sql/user:User": USER,
    "gcp:storage/bucket:Bucket": BUCKET,
    "gcp:secretmanager/secret:Secret": SECRET,
    "gcp:secretmanager/regionalSecret:RegionalSecret": SECRET,
    "gcp:secretmanager/secretVersion:SecretVersion": SECRET_VERSION,
    "gcp:secretmanager/regionalSecretVersion:RegionalSecretVersion": SECRET_VERSION,
    "gcp:kms/cryptoKey:CryptoKey": CRYPTO_KEY,
    "gcp:kms/keyRing:KeyRing": CRYPTO_KEY,
    "gcp:redis/instance:Instance": REDIS,
    "gcp:redis/cluster:Cluster": REDIS,
    "gcp:memorystore/instance:Instance": REDIS,
    "gcp:monitoring/alertPolicy:AlertPolicy": ALERT_POLICY,
    "gcp:monitoring/notificationChannel:NotificationChannel": CHANNEL,
    "gcp:logging/metric:Metric": METRIC,
    "gcp:cloudscheduler/job:Job": SCHEDULED_JOB,
    "gcp:workflows/workflow:Workflow": WORKFLOW,
    "gcp:serviceaccount/account:Account": IDENTITY,
    "gcp:servicenetworking/connection:Connection": NETWORK,
    "gcp:compute/globalAddress:GlobalAddress": NETWORK,
    "gcp:compute/network:Network": NETWORK,
    "gcp:compute/subnetwork:Subnetwork": NETWORK,
    "gcp:projects/service:Service": PROJECT_SETTING,
}
