"""PostgreSQL as Google Cloud SQL.

Owns: the instance, its databases, its IAM users, and a replica in another region where one is wanted. Deliberately does not own:
the network, the identities behind the users (CloudSqlAccess), rights inside the database (a Job, no provider runs GRANT), alerts.

Guarded three times: Pulumi's protect, the provider's deletionProtection, and the service's own, which holds against the console too.

Produces the following resources:
    DatabaseInstance <name>, Databases <name>-database-<d>, Users <name>-user-<u>, DatabaseInstance <name>-replica
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import sql

from infra import guards

DAYS: Final = {"monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6, "sunday": 7}


@dataclass(frozen=True, kw_only=True)
class CloudSqlPostgresArgs:
    """What an instance is made from.

    disk_gb counts at creation only; backup_start and maintenance_hour in UTC; users: name -> e-mail of the service account;
    superusers: names of those that administer; deletable: a dated opening of the delete guard.
    """

    instance: str
    project: str
    region: str
    network: pulumi.Input[str]
    version: int
    edition: str
    machine: str
    regional: bool
    zone: str | None
    secondary_zone: str | None
    disk_gb: int
    disk_limit_gb: int
    backups_keep: int
    backup_start: str
    backup_location: str
    pitr_days: int | None
    final_backup_days: int
    maintenance_day: str
    maintenance_hour: int
    maintenance_track: str
    deny_period: tuple[str, str] | None
    max_connections: int
    slow_query_ms: int
    kms_key: str | None
    databases: tuple[str, ...]
    users: Mapping[str, str]
    superusers: tuple[str, ...]
    replica_region: str | None
    adopt: str | None
    adopt_databases: tuple[str, ...]
    labels: Mapping[str, str]
    guarded: bool
    deletable: bool


class CloudSqlPostgres(pulumi.ComponentResource):
    """A Cloud SQL instance. connection_name: `project:region:instance` for the proxy; address: its private address."""

    connection_name: str
    address: pulumi.Output[str]

    def __init__(self, name: str, args: CloudSqlPostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:CloudSqlPostgres", name, None, opts)
        self.name, self.args = name, args
        self.connection_name = f"{args.project}:{args.region}:{args.instance}"
        shut = args.guarded and not args.deletable
        instance = sql.DatabaseInstance(
            f"{name}-instance",
            name=args.instance,
            project=args.project,
            region=args.region,
            database_version=f"POSTGRES_{args.version}",
            encryption_key_name=args.kms_key,
            deletion_protection=shut,
            settings=self._settings(args.regional, shut=shut),
            opts=guards.within(
                self,
                protect=shut,
                # The disk grows by itself and is grown by a command; a declared size would one day plan to shrink it.
                ignore_changes=["settings.diskSize"],
                import_id=f"projects/{args.project}/instances/{args.adopt}" if args.adopt else None,
            ),
        )
        self._contents(instance, shut=shut)
        if args.replica_region:
            self._replica(instance, args.replica_region, shut=shut)
        self.address = instance.private_ip_address
        self.register_outputs({"connectionName": self.connection_name, "address": self.address})

    def _settings(self, regional: bool, *, shut: bool) -> sql.DatabaseInstanceSettingsArgs:
        args = self.args
        return sql.DatabaseInstanceSettingsArgs(
            tier=args.machine,
            edition=args.edition.upper().replace("-", "_"),
            availability_type="REGIONAL" if regional else "ZONAL",
            location_preference=sql.DatabaseInstanceSettingsLocationPreferenceArgs(zone=args.zone, secondary_zone=args.secondary_zone)
            if args.zone
            else None,
            disk_type="PD_SSD",
            disk_size=args.disk_gb,
            disk_autoresize=True,
            disk_autoresize_limit=args.disk_limit_gb,
            deletion_protection_enabled=shut,
            retain_backups_on_delete=True,
            final_backup_config=sql.DatabaseInstanceSettingsFinalBackupConfigArgs(enabled=True, retention_days=args.final_backup_days),
            backup_configuration=sql.DatabaseInstanceSettingsBackupConfigurationArgs(
                enabled=True,
                start_time=args.backup_start,
                location=args.backup_location,
                point_in_time_recovery_enabled=args.pitr_days is not None,
                transaction_log_retention_days=args.pitr_days,
                backup_retention_settings=sql.DatabaseInstanceSettingsBackupConfigurationBackupRetentionSettingsArgs(
                    retained_backups=args.backups_keep, retention_unit="COUNT"
                ),
            ),
            maintenance_window=sql.DatabaseInstanceSettingsMaintenanceWindowArgs(
                day=DAYS[args.maintenance_day], hour=args.maintenance_hour, update_track=args.maintenance_track
            ),
            deny_maintenance_period=sql.DatabaseInstanceSettingsDenyMaintenancePeriodArgs(
                start_date=args.deny_period[0], end_date=args.deny_period[1], time="00:00:00"
            )
            if args.deny_period
            else None,
            ip_configuration=sql.DatabaseInstanceSettingsIpConfigurationArgs(
                ipv4_enabled=False, private_network=args.network, ssl_mode="ENCRYPTED_ONLY"
            ),
            # Only the proxy and the connectors, which know who connects, are let in.
            connector_enforcement="REQUIRED",
            data_api_access="DISALLOW_DATA_API",
            insights_config=sql.DatabaseInstanceSettingsInsightsConfigArgs(
                query_insights_enabled=True, query_string_length=1024, record_application_tags=True, record_client_address=False
            ),
            database_flags=[
                sql.DatabaseInstanceSettingsDatabaseFlagArgs(name=flag, value=value)
                for flag, value in (
                    ("cloudsql.iam_authentication", "on"),
                    ("log_min_duration_statement", str(args.slow_query_ms)),
                    ("max_connections", str(args.max_connections)),
                )
            ],
            user_labels=dict(args.labels),
        )

    def _contents(self, instance: sql.DatabaseInstance, *, shut: bool) -> None:
        args = self.args
        # deleted_with: when the instance goes, its databases are not dropped first, while a refusal could still come.
        inside = guards.within(self, protect=shut, deleted_with=instance, depends_on=[instance])
        for database in args.databases:
            existing = f"projects/{args.project}/instances/{args.instance}/databases/{database}"
            sql.Database(
                f"{self.name}-database-{database.replace('_', '-')}",
                name=database,
                project=args.project,
                instance=instance.name,
                deletion_policy="ABANDON",
                opts=guards.within(
                    self,
                    protect=shut,
                    deleted_with=instance,
                    depends_on=[instance],
                    import_id=existing if database in args.adopt_databases else None,
                ),
            )
        for user, email in args.users.items():
            sql.User(
                f"{self.name}-user-{user}",
                name=email.removesuffix(".gserviceaccount.com"),
                type="CLOUD_IAM_SERVICE_ACCOUNT",
                project=args.project,
                instance=instance.name,
                database_roles=["cloudsqlsuperuser"] if user in args.superusers else None,
                # A role that owns objects cannot be dropped: it is left, and the identity behind it is what is taken away.
                deletion_policy="ABANDON",
                opts=inside,
            )

    def _replica(self, instance: sql.DatabaseInstance, region: str, *, shut: bool) -> None:
        args = self.args
        sql.DatabaseInstance(
            f"{self.name}-replica",
            name=f"{args.instance}-replica",
            project=args.project,
            region=region,
            database_version=f"POSTGRES_{args.version}",
            master_instance_name=instance.name,
            deletion_protection=shut,
            settings=sql.DatabaseInstanceSettingsArgs(
                tier=args.machine,
                edition=args.edition.upper().replace("-", "_"),
                availability_type="ZONAL",
                disk_type="PD_SSD",
                disk_autoresize=True,
                disk_autoresize_limit=args.disk_limit_gb,
                deletion_protection_enabled=shut,
                ip_configuration=sql.DatabaseInstanceSettingsIpConfigurationArgs(
                    ipv4_enabled=False, private_network=args.network, ssl_mode="ENCRYPTED_ONLY"
                ),
                connector_enforcement="REQUIRED",
                data_api_access="DISALLOW_DATA_API",
                database_flags=[
                    sql.DatabaseInstanceSettingsDatabaseFlagArgs(name="cloudsql.iam_authentication", value="on"),
                    sql.DatabaseInstanceSettingsDatabaseFlagArgs(name="max_connections", value=str(args.max_connections)),
                ],
                user_labels=dict(args.labels),
            ),
            opts=guards.within(self, protect=shut, depends_on=[instance], ignore_changes=["settings.diskSize"]),
        )
