"""Changes of prod, of its stack file or of its program: what each does to data is what the gate must say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """expected: the class, REFUSED where the engine itself stops; file: old -> new text of the stack file; program: resource -> change."""

    expected: str
    file: Mapping[str, str] = field(default_factory=dict)
    program: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, text: str) -> str:
        """The stack file after the change."""
        for old, new in self.file.items():
            if text.count(old) != 1:
                raise ValueError(f"{old!r} stands {text.count(old)} times in the stack file")
            text = text.replace(old, new)
        return text


def put(resource: str, path: str, value: Any, **options: Any) -> Mapping[str, Mapping[str, Any]]:
    """Set one property of a resource, and resource options beside it."""
    return {resource: {"set": {path: value}, "options": options}}


INSTANCE, DATABASE, BUCKET, SEALED, KEY = (
    "main-g1-instance",
    "main-g1-database-direito-lux",
    "repository-bucket",
    "sealed-copy-bucket",
    "vault-encryption-key",
)
DISK_ALERT = "main-alerts-cloud-disk-nearly-full"
_BACKUP = "settings.backupConfiguration"
_OPENED = "    guards: {opened: [{resource: main, guard: delete, until: 2026-12-01, reason: moving, by: ana@example.org}]}\n    alerts:"
CHANGES: dict[str, Change] = {
    "store-renamed": Change("REFUSED", {"      main:\n": "      principal:\n"}),
    "region-changed": Change("REFUSED", {"acme-prod, region: southamerica-east1": "acme-prod, region: us-east1"}),
    "database-renamed": Change("REFUSED", {"{direito_lux: {": "{direito_luz: {"}),
    "backups-fewer": Change("LOSES-DATA", {"keep: 35": "keep: 31"}),
    "window-shorter": Change("LOSES-DATA", {"pitr: {days: 30}": "pitr: {days: 14}", "pitr: 30d": "pitr: 14d"}),
    "soft-delete-shorter": Change("WEAKENS", {"softDelete: 30d": "softDelete: 14d"}),
    "disk-limit-lower": Change("WEAKENS", {"limit: 1000GB": "limit: 500GB"}),
    "disk-alert-numbed": Change("WEAKENS", {"disk: 0.95": "disk: 0.99"}),
    "key-elsewhere": Change("REFUSED", {"[southamerica-east1, southamerica-west1]": "[southamerica-east1, us-east1]"}),
    "guard-opened": Change("WEAKENS", {"    alerts:": _OPENED}),
    "deletion-protection-off": Change("WEAKENS", program=put(INSTANCE, "deletionProtection", False)),
    "backups-off": Change("WEAKENS", program=put(INSTANCE, f"{_BACKUP}.enabled", False)),
    "recovery-off": Change("WEAKENS", program=put(INSTANCE, f"{_BACKUP}.pointInTimeRecoveryEnabled", False)),
    "one-zone": Change("WEAKENS", program=put(INSTANCE, "settings.availabilityType", "ZONAL")),
    "public-address": Change("WEAKENS", program=put(INSTANCE, "settings.ipConfiguration.ipv4Enabled", True)),
    "restored-over": Change("LOSES-DATA", program=put(INSTANCE, "restoreBackupContext", {"backupRunId": 1})),
    "settings-ignored": Change("WEAKENS", program={INSTANCE: {"options": {"ignore_changes": ["settings.diskSize", _BACKUP]}}}),
    "unprotected": Change("WEAKENS", program={INSTANCE: {"options": {"protect": False}}}),
    # deletionPolicy ABANDON: the old database stays, forgotten, and a new, empty one stands in its place.
    "unprotected-and-replaced": Change("WEAKENS", program=put(DATABASE, "name", "another", protect=False)),
    "bucket-emptied-on-delete": Change("WEAKENS", program=put(BUCKET, "forceDestroy", True)),
    "bucket-public": Change("WEAKENS", program=put(BUCKET, "publicAccessPrevention", "inherited")),
    "objects-deleted-sooner": Change(
        "LOSES-DATA", program=put(BUCKET, "lifecycleRules", [{"action": {"type": "Delete"}, "condition": {"age": 3}}])
    ),
    "sealed-copy-unlocked": Change("REFUSED", program=put(SEALED, "retentionPolicy.isLocked", False)),
    "key-expires": Change("LOSES-DATA", program=put(KEY, "ttl", "86400s")),
    "alert-muted": Change("WEAKENS", program=put(DISK_ALERT, "enabled", False)),
    "role-deletes": Change("WEAKENS", program=put("main-g1-migrator-restore-point", "permissions", ["cloudsql.instances.delete"])),
    "reads-unlogged": Change("WEAKENS", program=put("vault-reads", "auditLogConfigs", [{"logType": "ADMIN_READ"}])),
    "nothing": Change("SAFE"),
    "label-added": Change("SAFE", program=put(INSTANCE, "settings.userLabels.team", "data")),
    "machine-bigger": Change("DISRUPTIVE", program=put(INSTANCE, "settings.tier", "db-perf-optimized-N-4")),
    "backups-more": Change("DISRUPTIVE", {"keep: 35": "keep: 40"}),
    "disk-limit-higher": Change("SAFE", program=put(INSTANCE, "settings.diskAutoresizeLimit", 2000)),
    "maintenance-moved": Change("SAFE", {"maintenance: {day: sunday": "maintenance: {day: saturday"}),
    "soft-delete-longer": Change("DISRUPTIVE", {"softDelete: 30d": "softDelete: 60d"}),
    "pool-smaller": Change("SAFE", {"maxOpen: 25": "maxOpen: 20"}),
}
