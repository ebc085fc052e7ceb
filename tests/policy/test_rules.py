"""Each rule has a declaration that it refuses and one that it lets pass."""

import copy
import json
from typing import Any

import pytest

from policy.declared import Declared
from policy.presence import PRESENCE_RULES
from policy.rules import RULES
from tests.house.stacks import STACKS, program

INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
GOOD_INSTANCE: dict[str, Any] = {
    "deletionProtection": True,
    "settings": {
        "edition": "ENTERPRISE_PLUS",
        "availabilityType": "REGIONAL",
        "deletionProtectionEnabled": True,
        "retainBackupsOnDelete": True,
        "finalBackupConfig": {"enabled": True},
        "diskAutoresize": True,
        "diskAutoresizeLimit": 0,
        "backupConfiguration": {
            "enabled": True,
            "pointInTimeRecoveryEnabled": True,
            "transactionLogRetentionDays": 30,
            "backupRetentionSettings": {"retainedBackups": 35, "retentionUnit": "COUNT"},
        },
        "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": "n", "sslMode": "ENCRYPTED_ONLY"},
    },
}
GOOD_BUCKET = {
    "publicAccessPrevention": "enforced",
    "uniformBucketLevelAccess": True,
    "softDeletePolicy": {"retentionDurationSeconds": 2592000},
}
CONTAINER = {
    "name": "main",
    "resources": {"limits": {"memory": "1Gi"}},
    "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
}
POD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [CONTAINER],
    "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}],
}
GOOD_SET = {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}, "template": {"spec": POD}}}
GOOD_JOB = {"spec": {"concurrencyPolicy": "Forbid", "timeZone": "Etc/UTC", "startingDeadlineSeconds": 600}}
GOOD_PROVIDER = {"clusterIdentifier": "c", "enableConfigMapMutable": "true", "enableSecretMutable": "true"}


def one(
    type_token: str, inputs: dict[str, Any] | None = None, *, stack: str = "prod", protect: bool = True, ignore: tuple[str, ...] = ()
) -> Declared:
    return Declared(
        type=type_token, urn=f"urn:pulumi:{stack}::perene::{type_token}::thing", inputs=inputs or {}, protect=protect, ignore_changes=ignore
    )


def changed(inputs: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one value set; None takes it away."""
    copied = copy.deepcopy(inputs)
    place = copied
    *parents, last = path.split(".")
    for part in parents:
        place = place.setdefault(part, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return copied


def instance(path: str, value: Any) -> Declared:
    return one(INSTANCE, changed(GOOD_INSTANCE, path, value))


# rule: (refused, let pass)
CASES: dict[str, list[tuple[Declared, Declared]]] = {
    "protected": [(one("kubernetes:core/v1:Service", protect=False), one("kubernetes:core/v1:Service", protect=False, stack="dev"))],
    "ignores-nothing-watched": [(one(INSTANCE, ignore=("settings.*",)), one(INSTANCE, ignore=("settings.diskSize",)))],
    "no-secret-value": [
        (one("random:index/randomPassword:RandomPassword"), one("gcp:secretmanager/secret:Secret")),
        (one("gcp:secretmanager/secretVersion:SecretVersion"), one("gcp:secretmanager/secret:Secret")),
        (
            one("kubernetes:core/v1:Secret", {"stringData": {"k": "[secret]"}}),
            one("kubernetes:core/v1:Secret", {"metadata": {"name": "x"}}),
        ),
        (one("gcp:sql/user:User", {"password": "[secret]"}), one("gcp:sql/user:User", {"type": "CLOUD_IAM_SERVICE_ACCOUNT"})),
    ],
    "narrow-rights": [
        (
            one("gcp:storage/bucketIAMMember:BucketIAMMember", {"role": "roles/storage.admin", "member": "serviceAccount:a"}),
            one("gcp:storage/bucketIAMMember:BucketIAMMember", {"role": "roles/storage.objectCreator", "member": "serviceAccount:a"}),
        ),
        (
            one("gcp:storage/bucketIAMMember:BucketIAMMember", {"role": "roles/storage.objectViewer", "member": "allUsers"}),
            one("gcp:storage/bucketIAMMember:BucketIAMMember", {"role": "roles/storage.objectViewer", "member": "serviceAccount:a"}),
        ),
        (
            one("gcp:storage/bucketIAMBinding:BucketIAMBinding", {"role": "r"}),
            one("gcp:storage/bucketIAMMember:BucketIAMMember", {"role": "r"}),
        ),
    ],
    "nothing-switched-off": [
        (
            one("gcp:monitoring/alertPolicy:AlertPolicy", {"combiner": "AND"}),
            one("gcp:monitoring/alertPolicy:AlertPolicy", {"combiner": "OR"}),
        ),
        (instance("settings.insightsConfig.queryInsightsEnabled", False), one(INSTANCE, GOOD_INSTANCE)),
        (
            one("gcp:storage/bucket:Bucket", {"uniformBucketLevelAccess": False}),
            one("gcp:storage/bucket:Bucket", {"retentionPolicy": {"isLocked": True}}),
        ),
    ],
    "catalogued": [(one("gcp:bigtable/instance:Instance"), one(INSTANCE))],
    "cloud-sql-guards": [
        (instance(path, False), one(INSTANCE, GOOD_INSTANCE))
        for path in (
            "deletionProtection",
            "settings.deletionProtectionEnabled",
            "settings.retainBackupsOnDelete",
            "settings.finalBackupConfig",
        )
    ],
    "cloud-sql-backups": [
        (instance("settings.backupConfiguration.enabled", False), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.backupConfiguration.backupRetentionSettings.retainedBackups", 30), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.backupConfiguration.backupRetentionSettings", None), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.backupConfiguration.backupRetentionSettings.retentionUnit", "DAYS"), one(INSTANCE, GOOD_INSTANCE)),
    ],
    "cloud-sql-recovery": [
        (instance("settings.edition", None), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.edition", "ENTERPRISE"), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.availabilityType", "ZONAL"), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.backupConfiguration.pointInTimeRecoveryEnabled", False), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.backupConfiguration.transactionLogRetentionDays", 7), one(INSTANCE, GOOD_INSTANCE)),
    ],
    "cloud-sql-private": [
        (instance("settings.ipConfiguration.ipv4Enabled", None), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.ipConfiguration.privateNetwork", None), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.ipConfiguration.sslMode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED"), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.ipConfiguration.authorizedNetworks", [{"value": "192.0.2.1/32"}]), one(INSTANCE, GOOD_INSTANCE)),
        (instance("settings.dataApiAccess", "ALLOW_DATA_API"), one(INSTANCE, GOOD_INSTANCE)),
    ],
    "cloud-sql-disk": [
        (instance("settings.diskAutoresize", False), one(INSTANCE, GOOD_INSTANCE)),
        (
            one(INSTANCE, changed(changed(GOOD_INSTANCE, "settings.diskSize", 100), "settings.diskAutoresizeLimit", 50)),
            one(INSTANCE, GOOD_INSTANCE),
        ),
    ],
    "cloud-sql-no-deeds": [(instance("restoreBackupContext", {"backupRunId": 1}), instance("clone", {"sourceInstanceName": "x"}))],
    "cloud-sql-database": [
        (one("gcp:sql/database:Database", protect=False), one("gcp:sql/database:Database", {"deletionPolicy": "ABANDON"}, protect=False))
    ],
    "gcs-bucket": [
        (one("gcp:storage/bucket:Bucket", changed(GOOD_BUCKET, path, value)), one("gcp:storage/bucket:Bucket", GOOD_BUCKET))
        for path, value in (
            ("publicAccessPrevention", "inherited"),
            ("uniformBucketLevelAccess", False),
            ("forceDestroy", True),
            ("softDeletePolicy.retentionDurationSeconds", 0),
        )
    ],
    "gcs-lifecycle": [
        (
            one(
                "gcp:storage/bucket:Bucket",
                {
                    "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 7}}],
                    "retentionPolicy": {"retentionPeriod": "604800"},
                },
            ),
            one(
                "gcp:storage/bucket:Bucket",
                {
                    "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 8}}],
                    "retentionPolicy": {"retentionPeriod": "604800"},
                },
            ),
        ),
        (
            one("gcp:storage/bucket:Bucket", {"lifecycleRules": [{"action": {"type": "Delete"}, "condition": {}}]}),
            one(
                "gcp:storage/bucket:Bucket",
                {"lifecycleRules": [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 1}}]},
            ),
        ),
    ],
    "gcp-secret": [
        (
            one("gcp:secretmanager/secret:Secret", {"versionDestroyTtl": "2592000s"}),
            one("gcp:secretmanager/secret:Secret", {"deletionProtection": True, "versionDestroyTtl": "2592000s"}),
        ),
        (
            one("gcp:secretmanager/secret:Secret", {"deletionProtection": True, "versionDestroyTtl": "2592000s", "ttl": "60s"}),
            one("gcp:secretmanager/secret:Secret", {"deletionProtection": True, "versionDestroyTtl": "2592000s"}),
        ),
        (
            one("gcp:secretmanager/secret:Secret", {"deletionProtection": True}),
            one("gcp:secretmanager/secret:Secret", {"deletionProtection": True, "versionDestroyTtl": "2592000s"}),
        ),
    ],
    "gcp-alert": [
        (
            one("gcp:monitoring/alertPolicy:AlertPolicy", {"conditions": [{}], "notificationChannels": []}),
            one("gcp:monitoring/alertPolicy:AlertPolicy", {"conditions": [{}], "notificationChannels": ["c"]}),
        ),
        (
            one("gcp:monitoring/alertPolicy:AlertPolicy", {"conditions": [{}], "notificationChannels": ["c"], "enabled": False}),
            one("gcp:monitoring/alertPolicy:AlertPolicy", {"conditions": [{}], "notificationChannels": ["c"], "enabled": True}),
        ),
    ],
    "gcp-channel": [
        (
            one("gcp:monitoring/notificationChannel:NotificationChannel", {"enabled": False}),
            one("gcp:monitoring/notificationChannel:NotificationChannel"),
        )
    ],
    "s3-bucket": [(one("aws:s3/bucket:Bucket", {"forceDestroy": True}), one("aws:s3/bucket:Bucket", {"forceDestroy": False}))],
    "s3-versioning": [
        (
            one("aws:s3/bucketVersioning:BucketVersioning", {"versioningConfiguration": {"status": "Suspended"}}),
            one("aws:s3/bucketVersioning:BucketVersioning", {"versioningConfiguration": {"status": "Enabled"}}),
        )
    ],
    "s3-private": [
        (
            one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", {"blockPublicAcls": True}),
            one(
                "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
                dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True),
            ),
        )
    ],
    "s3-lock": [
        (
            one("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"),
            one("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration", {"rule": {"defaultRetention": {"days": 35}}}),
        )
    ],
    "aws-secret": [
        (
            one("aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 0}),
            one("aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 30}),
        )
    ],
    "aws-key": [(one("aws:kms/key:Key", {"deletionWindowInDays": 7}), one("aws:kms/key:Key", {"deletionWindowInDays": 30}))],
    "volumes-outlive-sets": [
        (one("kubernetes:apps/v1:StatefulSet", changed(GOOD_SET, path, value)), one("kubernetes:apps/v1:StatefulSet", GOOD_SET))
        for path, value in (
            ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Delete"),
            ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", None),
            ("spec.volumeClaimTemplates", [{}]),
            ("spec.template.spec.volumes", []),
        )
    ],
    "restricted-pods": [
        (one("kubernetes:apps/v1:StatefulSet", changed(GOOD_SET, path, value)), one("kubernetes:apps/v1:StatefulSet", GOOD_SET))
        for path, value in (
            ("spec.template.spec.securityContext.runAsNonRoot", None),
            ("spec.template.spec.securityContext.seccompProfile", None),
            ("spec.template.spec.containers", [CONTAINER | {"securityContext": CONTAINER["securityContext"] | {"runAsNonRoot": False}}]),
            ("spec.template.spec.containers", [CONTAINER | {"securityContext": CONTAINER["securityContext"] | {"runAsUser": 0}}]),
            ("spec.template.spec.containers", [{"name": "x"}]),
            ("spec.template.spec.volumes", [{"name": "d", "hostPath": {"path": "/d"}}]),
        )
    ],
    "named-storage-class": [
        (
            one("kubernetes:core/v1:PersistentVolumeClaim"),
            one("kubernetes:core/v1:PersistentVolumeClaim", {"spec": {"storageClassName": "ssd"}}),
        )
    ],
    "retained-volume": [
        (
            one("kubernetes:core/v1:PersistentVolume"),
            one("kubernetes:core/v1:PersistentVolume", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
        )
    ],
    "retaining-class": [
        (
            one("kubernetes:storage.k8s.io/v1:StorageClass", {"allowVolumeExpansion": True}),
            one("kubernetes:storage.k8s.io/v1:StorageClass", {"allowVolumeExpansion": True, "reclaimPolicy": "Retain"}),
        )
    ],
    "job-runs": [
        (one("kubernetes:batch/v1:CronJob", changed(GOOD_JOB, path, value)), one("kubernetes:batch/v1:CronJob", GOOD_JOB))
        for path, value in (
            ("spec.suspend", True),
            ("spec.concurrencyPolicy", "Allow"),
            ("spec.timeZone", None),
            ("spec.startingDeadlineSeconds", 5),
        )
    ],
    "inside-only": [
        (
            one("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}),
            one("kubernetes:core/v1:Service", {"spec": {"type": "ClusterIP"}}),
        )
    ],
    "named-clients": [
        (
            one("kubernetes:networking.k8s.io/v1:NetworkPolicy", {"spec": {"ingress": [{"ports": []}]}}),
            one("kubernetes:networking.k8s.io/v1:NetworkPolicy", {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}),
        )
    ],
    "owned": [
        (
            one("kubernetes:core/v1:ConfigMap", {"data": {"tier.json": json.dumps({"owner": owner})}}),
            one("kubernetes:core/v1:ConfigMap", {"data": {"tier.json": json.dumps({"owner": "team@acme.example"})}}),
        )
        for owner in (None, "", "team", "a team@acme")
    ],
    "steady-provider": [
        (one("pulumi:providers:kubernetes", changed(GOOD_PROVIDER, path, value)), one("pulumi:providers:kubernetes", GOOD_PROVIDER))
        for path, value in (("deleteUnreachable", "true"), ("clusterIdentifier", None), ("enableSecretMutable", "false"))
    ],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_refuses_what_it_should_and_nothing_else(rule: Any) -> None:
    assert CASES.get(rule.name), f"{rule.name} has no violating and passing case"
    for refused, passed in CASES[rule.name]:
        assert rule.violations(refused), f"{rule.name} lets {refused.type} pass: {dict(refused.inputs)}"
        assert not rule.violations(passed), f"{rule.name} refuses what is right: {rule.violations(passed)}"


STORE = (INSTANCE, "urn:pulumi:prod::perene::x::main-g1-instance")
SET = ("kubernetes:apps/v1:StatefulSet", "urn:pulumi:dev::perene::x::main-g1")
PRESENT = {
    "alerts-present": ([STORE], [STORE, ("gcp:monitoring/alertPolicy:AlertPolicy", "urn:pulumi:prod::perene::x::main-alerts-disk")]),
    "backup-present": (
        [STORE, ("gcp:storage/bucket:Bucket", "urn:pulumi:prod::perene::x::repository-bucket")],
        [
            STORE,
            ("gcp:storage/bucket:Bucket", "urn:pulumi:prod::perene::x::repository-bucket"),
            ("gcp:storage/bucket:Bucket", "urn:pulumi:prod::perene::x::sealed-copy-bucket"),
        ],
    ),
    "contract-present": ([STORE], [STORE, ("kubernetes:core/v1:ConfigMap", "urn:pulumi:prod::perene::x::perene-tier")]),
    "network-present": ([SET], [SET, ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "urn:pulumi:dev::perene::x::main-g1-clients")]),
}


@pytest.mark.parametrize("rule", PRESENCE_RULES, ids=lambda rule: rule.name)
def test_a_rule_on_the_whole_stack_sees_what_is_missing(rule: Any) -> None:
    refused, passed = PRESENT[rule.name]
    assert rule.violations(refused), f"{rule.name} misses it"
    assert not rule.violations(passed), rule.violations(passed)
    assert not rule.violations([("aws:s3/bucket:Bucket", "urn:pulumi:prod::other::x::y")]), (
        "another project's stack is none of its business"
    )


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_of_the_repository_has_what_must_be_there(stack: str) -> None:
    named = [(one.type, one.urn) for one in program(stack).resources]
    assert not [found for rule in PRESENCE_RULES for found in rule.violations(named)]
