"""Events that exist only as log entries, as Cloud Logging filters (domain-facts sections 7.1 and 7.2)."""

from perene.health.catalog.types import LogSignal

LOGS = (
    LogSignal(
        name="automated-backup-failed",
        severity="critical",
        kinds=("cloud-sql",),
        filter="""
            logName="projects/$project/logs/cloudaudit.googleapis.com%2Fsystem_event"
            protoPayload.methodName="cloudsql.instances.automatedBackup"
            resource.type="cloudsql_database"
            resource.labels.database_id="$database_id"
            protoPayload.metadata.windowStatus=("STATUS_FAILED" OR "STATUS_ATTEMPT_FAILED" OR "STATUS_SKIPPED")""",
        extractors={"status": "EXTRACT(protoPayload.metadata.windowStatus)"},
        summary="an automated backup of $store in $stack failed or was skipped",
        meaning="Older backups are untouched. The next attempt is within the window or tomorrow.",
        first=(
            "gcloud sql backups list --instance=INSTANCE: the error of the failed run",
            "gcloud sql backups create --instance=INSTANCE: one by hand, now",
            "perene backup: a logical set beside it",
        ),
        then="The event pages at once; automated-backup-stale pages when no success follows.",
    ),
    LogSignal(
        name="slow-statement",
        severity="warning",
        kinds=("cloud-sql",),
        filter="""
            logName="projects/$project/logs/cloudsql.googleapis.com%2Fpostgres.log"
            resource.type="cloudsql_database"
            resource.labels.database_id="$database_id"
            textPayload=~"duration: ($slow_pattern)\\\\.[0-9]+ ms\"""",
        extractors={"milliseconds": 'REGEXP_EXTRACT(textPayload, "duration: ([0-9.]+) ms")'},
        summary="a statement on $store in $stack took longer than the limit",
        meaning="Data is safe. The page carries the duration only: the statement's text may hold a person's data and stays in the log.",
        first=(
            "Query Insights: which query, since when?",
            "is it waiting for a lock: select * from pg_locks where not granted",
            "an index, a schedule, or a limit for that role (statement_timeout)",
        ),
        then="The limit is the store's slowQuery; the same value is the database's log_min_duration_statement.",
    ),
    LogSignal(
        name="key-read-by-a-stranger",
        severity="critical",
        kinds=("key",),
        filter="""
            logName="projects/$project/logs/cloudaudit.googleapis.com%2Fdata_access"
            protoPayload.serviceName="secretmanager.googleapis.com"
            protoPayload.methodName="google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion"
            protoPayload.resourceName=~"^projects/[^/]+/secrets/$secret/versions/"
            NOT protoPayload.authenticationInfo.principalEmail=($readers)""",
        extractors={"principal": "EXTRACT(protoPayload.authenticationInfo.principalEmail)"},
        summary="the encryption key of $stack was read by someone who is not expected to",
        meaning="Nothing is lost, but whoever holds the key reads every encrypted photo and field, in every backup too.",
        first=(
            "who and from where: the log entry's principal and caller address",
            "take away the right: secretAccessor on this secret",
            "perene key rotate: old versions stay until every set that needs them has expired",
        ),
        then="Access logs of Secret Manager are off by default; the program switches them on for this secret's service.",
    ),
    LogSignal(
        name="sealed-bucket-changed",
        severity="critical",
        kinds=("sealed",),
        filter="""
            logName="projects/$vault_project/logs/cloudaudit.googleapis.com%2Factivity"
            resource.type="gcs_bucket"
            resource.labels.bucket_name="$sealed_bucket"
            protoPayload.methodName=("storage.buckets.update" OR "storage.setIamPermissions" OR "storage.buckets.delete")""",
        extractors={"method": "EXTRACT(protoPayload.methodName)", "principal": "EXTRACT(protoPayload.authenticationInfo.principalEmail)"},
        summary="somebody changed the settings or the rights of the sealed copy's bucket of $stack",
        meaning="The copy that nobody should be able to delete may be deletable, or new copies may fail.",
        first=(
            "what changed: the log entry's request",
            "undo it; a retention lock can always be lengthened",
            "treat it as an incident until the person is known",
        ),
        then="A change by the program itself appears here too: compare with the audit's line of that time.",
    ),
    LogSignal(
        name="cloud-database-log-errors",
        severity="critical",
        kinds=("cloud-sql",),
        filter="""
            logName="projects/$project/logs/cloudsql.googleapis.com%2Fpostgres.log"
            resource.type="cloudsql_database"
            resource.labels.database_id="$database_id"
            textPayload=~"PANIC:|invalid page in block|could not read block|could not open file|page verification failed\"""",
        summary="the log of $store in $stack speaks of damage",
        meaning="A page checksum failed, a file is missing or the server panicked. Backups from before are not damaged.",
        first=(
            "the log entry: which relation?",
            "perene drill: is the newest set good, and from when?",
            "stop writers; clone to a time before the first entry and compare",
        ),
        then="Keep the instance until the clone is compared, and open a support case.",
    ),
)
