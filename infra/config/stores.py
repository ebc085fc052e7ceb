"""What every store has, and the PostgreSQL kinds; the others: services.py. Rules between fields: rules_stores.py, rules_cloud_sql.py."""

from typing import Literal

from pydantic import Field

from infra.config.base import Section
from infra.config.types import (
    DatabaseName,
    Date,
    Directory,
    DurationText,
    GcpLocation,
    GcpRegion,
    GcpZone,
    KmsKeyId,
    RoleName,
    SchemaName,
    SizeText,
    StoreName,
    TableName,
    TimeText,
)
from perene.contract.values import Duration

Right = Literal["read-write", "read-only", "ddl", "dump"]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class StoreGoals(Section):
    """Goals of one store where they differ from the tier's."""

    rpo: DurationText = Field(description="recovery point: the most work that may be lost")
    rto: DurationText = Field(description="recovery time: from loss to proven restore")


class Pool(Section):
    """A connection pool of the application; all pools together must fit the server's connections."""

    max_open: int = Field(ge=1, le=10_000, description="connections that one replica may open")
    max_idle: int = Field(ge=0, le=10_000, description="connections that one replica keeps")
    lifetime: DurationText = Field(description="how long a connection is used before it is renewed")
    replicas: int = Field(ge=1, le=1000, description="replicas of the application, with those of a rolling update")


class Database(Section):
    """One database of a PostgreSQL store."""

    schemas: tuple[SchemaName, ...] = Field(default=("public",), min_length=1, description="schemas that the application uses")


class Check(Section):
    """What must be true after every restore: a table has at least so many rows."""

    count: TableName = Field(description="table, or schema.table")
    at_least: int = Field(ge=0, description="rows that must be there")
    database: DatabaseName | None = Field(default=None, description="needed where the store has several databases")


class Migrations(Section):
    """Versioned schema changes."""

    directory: Directory = Field(description="where the SQL files lie")
    mode: Literal["automatic", "after-dev", "approved"] = Field(description="when pending ones run: dev, staging, prod in this order")


class Resources(Section):
    """What the store's container is given; the limit of memory is the request, so that it is never evicted for it."""

    cpu: str = Field(pattern=r"^([1-9]\d{0,2}|[1-9]\d{1,5}m)$", description="cores, like 2 or 500m")
    memory: SizeText = Field(description="memory: MiB or GiB")


class Volume(Section):
    """The store's volume."""

    size: SizeText = Field(description="size; a volume can grow, never shrink")


class AnyStore(Section):
    """What every kind of store has."""

    generation: int = Field(ge=1, le=999, description="goes up by one when the store is restored into a new place")
    retired: dict[str, Date] = Field(default={}, description="generations that wait for their gated removal, by number, with the date")
    goals: StoreGoals | None = Field(default=None, description="goals of this store")
    backup: Literal["required", "none"] = Field(
        default="required", description="`none` in dev, and for a cache, only: not part of recovery sets"
    )


class _PostgresStore(AnyStore):
    version: int = Field(description="major version of PostgreSQL; 17 is supported from end to end")
    databases: dict[DatabaseName, Database] = Field(min_length=1, max_length=100, description="databases by name")
    users: dict[RoleName, Right] = Field(description="identities and their rights; owner, admin and monitor are always there")
    pools: dict[StoreName, Pool] = Field(default={}, description="connection pools of the application")
    slow_query: DurationText = Field(description="statements that take longer are logged and alerted on")
    migrations: Migrations | None = Field(default=None, description="versioned schema changes")
    checks: tuple[Check, ...] = Field(default=(), description="what must be true after every restore")


class Postgres(_PostgresStore):
    """PostgreSQL on a volume of the cluster."""

    kind: Literal["postgres"]
    volume: Volume = Field(description="the data's volume")
    resources: Resources = Field(description="what the container is given")
    extensions: tuple[Literal["timescaledb"], ...] = Field(default=(), description="extensions that must be loaded at start")


class Disk(Section):
    """The instance's disk. It grows by itself and never shrinks."""

    size: SizeText = Field(description="size at creation, GB; ignored afterwards (growing by hand is a command)")
    limit: SizeText = Field(description="the most it may grow to by itself, GB")


class AutomatedBackups(Section):
    """The service's own daily backups."""

    keep: int = Field(ge=1, le=365, description="how many are kept (a count, not days)")
    at: TimeText = Field(description="opens a window of four hours")
    location: GcpLocation = Field(description="where they lie: region, or us, eu, asia")


class Pitr(Section):
    """Point-in-time recovery."""

    days: int = Field(ge=1, le=35, description="days of write-ahead log kept: to 7 in enterprise, to 35 in enterprise-plus")


class Maintenance(Section):
    """When the service may restart the instance for maintenance."""

    day: Day = Field(description="day of the week")
    at: TimeText = Field(description="start of the window, on the hour")
    track: Literal["canary", "stable", "week5"] = Field(default="stable", description="how early updates come")


class DenyPeriod(Section):
    """Days on which no maintenance happens."""

    start: Date = Field(description="first day")
    end: Date = Field(description="last day; at most 90 days after the first")


class Replica(Section):
    """A read replica in another region, for the loss of a region."""

    region: GcpRegion = Field(description="another region than the instance's own")


class Adoption(Section):
    """An existing instance taken into the tier."""

    instance: str = Field(pattern=r"^[a-z][a-z0-9-]{0,95}[a-z0-9]$", description="name of the existing instance")
    databases: tuple[DatabaseName, ...] = Field(default=(), description="which of the store's databases are in it already")


class CloudSql(_PostgresStore):
    """PostgreSQL as Google Cloud SQL."""

    kind: Literal["cloud-sql"]
    edition: Literal["enterprise", "enterprise-plus"] = Field(description="always said: the service's own default depends on the version")
    machine: str = Field(pattern=r"^db-[a-zA-Z0-9-]{3,40}$", description="machine of the edition's family")
    availability: Literal["zonal", "regional"] = Field(description="regional has a standby in a second zone")
    zone: GcpZone | None = Field(default=None, description="zone of the instance")
    secondary_zone: GcpZone | None = Field(default=None, description="zone of the standby: another one")
    disk: Disk = Field(description="the instance's disk")
    backups: AutomatedBackups = Field(description="the service's own backups")
    pitr: Pitr | None = Field(default=None, description="point-in-time recovery")
    final_backup: DurationText = Field(default=Duration(30, "d"), description="how long the backup lives that is taken at deletion")
    maintenance: Maintenance = Field(description="maintenance window")
    deny_period: DenyPeriod | None = Field(default=None, description="days without maintenance")
    max_connections: int | None = Field(
        default=None, ge=20, le=100_000, description="connections of the server; unset: what the memory gives"
    )
    kms_key: KmsKeyId | None = Field(default=None, description="customer key, at creation only; destroying it destroys the instance")
    replica: Replica | None = Field(default=None, description="replica in another region")
    adopt: Adoption | None = Field(default=None, description="take an existing instance into the tier")
