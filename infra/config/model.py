"""The whole configuration of one tier (`perene:tier`), as typed sections. What a field may hold with others: rules.py."""

from typing import Annotated, Literal

from pydantic import Field

from infra.config.base import Section
from infra.config.cross_checks import CrossCheck
from infra.config.rebuild import CommandRebuild, FacesRebuild
from infra.config.services import Files, Qdrant, RabbitMq, Redis
from infra.config.stores import CloudSql, Postgres
from infra.config.types import (
    AwsAccount,
    AwsRegion,
    BucketName,
    Country,
    Date,
    DurationText,
    Email,
    Fraction,
    GcpLocation,
    GcpProject,
    GcpRegion,
    HttpsUrl,
    ImageRef,
    KmsKeyId,
    KubeContext,
    LabelName,
    Namespace,
    NetworkId,
    OidcProviderArn,
    RoleArn,
    SecretId,
    SizeText,
    StorageClassName,
    StoreName,
    SystemName,
    Text,
    TimeText,
    WorkloadPool,
)

Store = Annotated[Postgres | CloudSql | Redis | Qdrant | RabbitMq | Files, Field(discriminator="kind")]


class LocalCluster(Section):
    """A Kubernetes on the operator's own computer; `make up` finds or makes it."""

    kind: Literal["local"]
    namespace: Namespace = Field(description="where the tier's objects live; made by `perene secrets init`, never managed by the program")
    storage_class: StorageClassName = Field(description="class of every volume; `perene local` offers perene-local")


class GkeCluster(Section):
    """A Google Kubernetes Engine cluster."""

    kind: Literal["gke"]
    context: KubeContext = Field(description="kubeconfig context that the provider uses")
    namespace: Namespace = Field(description="where the tier's objects live; made by `perene secrets init`, never managed by the program")
    workload_pool: WorkloadPool = Field(description="Workload Identity pool of the cluster's own project")
    storage_class: StorageClassName = Field(
        default="premium-rwo-retain", description="class of every volume; its reclaim policy must be Retain in a guarded tier"
    )


class OtherCluster(Section):
    """Any other Kubernetes, by its kubeconfig context."""

    kind: Literal["kubernetes"]
    context: KubeContext = Field(description="kubeconfig context that the provider uses")
    namespace: Namespace = Field(description="where the tier's objects live; made by `perene secrets init`, never managed by the program")
    storage_class: StorageClassName = Field(description="class of every volume; its reclaim policy must be Retain in a guarded tier")


Cluster = Annotated[LocalCluster | GkeCluster | OtherCluster, Field(discriminator="kind")]


class ExistingNetwork(Section):
    """A network that somebody else owns, with private services access already set up."""

    kind: Literal["existing"]
    id: NetworkId = Field(description="the network's full id")


class PeeredNetwork(Section):
    """A network that somebody else owns; the tier makes the peering range and the connection."""

    kind: Literal["peered"]
    id: NetworkId = Field(description="the network's full id")
    prefix_length: int = Field(ge=16, le=24, description="size of the peering range; a range smaller than /24 is refused by the service")


Network = Annotated[ExistingNetwork | PeeredNetwork, Field(discriminator="kind")]


class Gcp(Section):
    """Where Google Cloud resources go."""

    project: GcpProject = Field(description="project of the databases, secrets and working buckets")
    region: GcpRegion = Field(description="region of the databases")
    network: Network = Field(description="private network of the databases")


class Aws(Section):
    """Where AWS resources go."""

    account: AwsAccount = Field(description="account of the buckets and secrets; another one is refused by the provider")
    region: AwsRegion = Field(description="region of the buckets and secrets")
    oidc_provider: OidcProviderArn = Field(description="the cluster's identity provider: jobs get short-lived credentials, never a key")
    break_glass: RoleArn = Field(description="the one role that may delete versions or change versioning, lifecycle and locks")


class Clouds(Section):
    """The clouds that the tier uses."""

    gcp: Gcp | None = Field(default=None, description="Google Cloud")
    aws: Aws | None = Field(default=None, description="AWS")


class Goals(Section):
    """What the owner promises: how much may be lost, how long a restore may take."""

    rpo: DurationText = Field(description="recovery point: the most work that may be lost")
    rto: DurationText = Field(description="recovery time: from loss to proven restore")


class Keep(Section):
    """How many recovery sets are kept; what any rule keeps stays."""

    daily: int = Field(default=0, ge=0, le=366, description="newest set, and newest proven one, of each of the last N days that have one")
    weekly: int = Field(default=0, ge=0, le=520, description="the same for weeks: the one under way and the N before it that have one")
    monthly: int = Field(default=0, ge=0, le=120, description="the same for months: the one under way and the N before it that have one")


class VolumeRepository(Section):
    """A backup repository on a volume of its own in the cluster: for dev."""

    kind: Literal["volume"]
    size: SizeText = Field(description="size of the volume")


class GcsRepository(Section):
    """A backup repository in Google Cloud Storage."""

    kind: Literal["gcs"]
    location: GcpLocation = Field(description="region, or us, eu, asia")
    soft_delete: DurationText = Field(description="how long a deleted object can be brought back: 7d to 90d")
    adopt: BucketName | None = Field(default=None, description="an existing bucket that becomes the repository")
    kms_key: KmsKeyId | None = Field(default=None, description="customer key; destroying it destroys every backup")


class S3Repository(Section):
    """A backup repository in AWS S3, with versions."""

    kind: Literal["s3"]
    region: AwsRegion = Field(description="region of the bucket")
    noncurrent_days: int = Field(ge=7, le=365, description="days for which a deleted or overwritten object can be brought back")
    kms_key: KmsKeyId | None = Field(default=None, description="customer key; deleting it makes every backup unreadable")


Repository = Annotated[VolumeRepository | GcsRepository | S3Repository, Field(discriminator="kind")]


class Lock(Section):
    """A retention lock: for its days nobody can delete or shorten, the owner included."""

    days: int = Field(ge=7, le=3650, description="days for which a sealed set cannot be deleted")
    irreversible: bool = Field(description="true says that you know it: a lock can be lengthened, never shortened or removed")


class GcsSealedCopy(Section):
    """Where the sealed copy goes: a locked bucket in a project that nobody of the first one administers."""

    kind: Literal["gcs"]
    project: GcpProject = Field(description="another project than the tier's own")
    location: GcpLocation = Field(description="another place than the repository's")
    every: DurationText = Field(description="how often a proven set is sealed: whole days")
    lock: Lock = Field(description="the retention lock")


class S3SealedCopy(Section):
    """Where the sealed copy goes: a locked bucket in an account that nobody of the first one administers."""

    kind: Literal["s3"]
    account: AwsAccount = Field(description="another account than the tier's own")
    region: AwsRegion = Field(description="another region than the repository's")
    role: RoleArn = Field(description="role in that account which makes the bucket")
    every: DurationText = Field(description="how often a proven set is sealed: whole days")
    lock: Lock = Field(description="the retention lock (S3 Object Lock, compliance mode)")


SealedCopy = Annotated[GcsSealedCopy | S3SealedCopy, Field(discriminator="kind")]


class Scratch(Section):
    """A volume that a drill gets and that goes with its pod."""

    size: SizeText = Field(description="room for the largest store twice: as it is fetched, and as it is restored")
    storage_class: StorageClassName = Field(description="a class whose volumes are deleted with their claims")


class Drill(Section):
    """How often a restore is really done and compared."""

    every: DurationText = Field(description="drill from the newest set: whole days")
    pitr: DurationText | None = Field(default=None, description="drill by point-in-time recovery: whole days; Cloud SQL only")
    scratch: Scratch | None = Field(default=None, description="where it restores; unset: the node's disk, capped by the stores' sizes")


class Backups(Section):
    """Recovery sets over all stores of the tier."""

    at: TimeText = Field(description="when the daily set is made; must not meet a store's own backup window")
    keep: Keep = Field(description="how many sets are kept")
    repository: Repository = Field(description="where sets are kept")
    sealed_copy: SealedCopy | None = Field(default=None, description="the immutable copy")
    drill: Drill = Field(description="the scheduled proof")
    weekly_above: SizeText | None = Field(
        default=None,
        description="size of a store's databases above which sets are made weekly, because a long dump holds vacuum back; unset: 200GiB "
        "where every store in the sets keeps its recovery point otherwise (pitr, or 8 days allowed), else always daily",
    )


class _Key(Section):
    generation: int = Field(default=1, ge=1, le=999, description="goes up by one when the key is rotated (`perene key rotate`)")
    earlier: dict[str, Literal["in-use", "retired"]] = Field(
        default={}, description="generations still kept, by number: data is sealed with them (`in-use`), or sets only (`retired`)"
    )


class KubernetesKey(_Key):
    """The application's 32-byte key in a Kubernetes Secret: for dev."""

    kind: Literal["kubernetes"]


class GcpKey(_Key):
    """The application's 32-byte key in Google Secret Manager."""

    kind: Literal["gcp-secret-manager"]
    replicas: tuple[GcpRegion, ...] = Field(min_length=1, max_length=8, description="regions that hold the key; two or more in prod")
    adopt: SecretId | None = Field(default=None, description="an existing secret that holds the key's first generation")


class AwsKey(_Key):
    """The application's 32-byte key in AWS Secrets Manager."""

    kind: Literal["aws-secrets-manager"]
    replicas: tuple[AwsRegion, ...] = Field(default=(), max_length=8, description="further regions that hold the key; one or more in prod")
    recovery_window: int = Field(default=30, ge=7, le=30, description="days for which a deleted secret can be brought back")


EncryptionKey = Annotated[KubernetesKey | GcpKey | AwsKey, Field(discriminator="kind")]


class EmailChannel(Section):
    """Somebody's mailbox."""

    kind: Literal["email"]
    address: Email = Field(description="who is told")


class WebhookChannel(Section):
    """A receiver for alerts; a token in its address belongs into the vault, so none is accepted."""

    kind: Literal["webhook"]
    url: HttpsUrl = Field(description="where alerts are posted")


Channel = Annotated[EmailChannel | WebhookChannel, Field(discriminator="kind")]


class Alerts(Section):
    """Who is told, and from where on. Everything else about alerts is the same everywhere."""

    notify: tuple[Channel, ...] = Field(min_length=1, max_length=16, description="who is told")
    disk: Fraction = Field(description="share of a disk that is critical, like 0.95")
    connections: Fraction = Field(description="share of the connections that is too many, like 0.8")
    operator: dict[LabelName, str] | None = Field(
        default=None,
        description="labels by which a Prometheus Operator selects rules and monitors (may be {}); unset: a ConfigMap and annotations, or "
        "Google's own collection in gke",
    )
    kube_state_metrics: bool = Field(default=False, description="it runs in the cluster, so the states of pods and jobs are left to it")


class Opening(Section):
    """One guard opened on purpose, for a time."""

    resource: StoreName = Field(description="the store, or `key`, `repository`, `sealed-copy`")
    guard: Literal["delete", "replace", "restore", "shrink-retention"] = Field(description="what becomes possible")
    until: Date = Field(description="last day on which it counts; the gate judges it, the program reads no clock")
    reason: Text = Field(description="why, for the one who reads it in a year")
    by: Email = Field(description="who opened it")


class Guards(Section):
    """Guards of the tier. Staging and prod are guarded; dev is where it says so."""

    opened: tuple[Opening, ...] = Field(default=(), description="guards opened on purpose")
    dev_guarded: bool = Field(default=False, description="guard a dev tier like the others")


class Images(Section):
    """Container images by digest; a local cluster uses the ones that perene builds or loads."""

    postgres: ImageRef = Field(description="PostgreSQL server of the store image family")
    ops: ImageRef = Field(description="perene, the clients and restic")
    proxy: ImageRef | None = Field(default=None, description="Cloud SQL Auth Proxy, 2.13 or later; needed where a store is cloud-sql")
    redis: ImageRef | None = Field(default=None, description="Redis of the store image family; needed where a store is redis")
    qdrant: ImageRef | None = Field(default=None, description="Qdrant 1.18, its own unprivileged image; needed where a store is qdrant")
    rabbitmq: ImageRef | None = Field(default=None, description="RabbitMQ of the store image family; needed where a store is rabbitmq")


Rebuild = Annotated[FacesRebuild | CommandRebuild, Field(discriminator="kind")]


class Tier(Section):
    """One environment's persistence tier."""

    system: SystemName = Field(description="the application that the tier belongs to")
    environment: Literal["dev", "staging", "prod"] = Field(description="must be the last part of the stack's name")
    owner: Email = Field(description="who answers for the data")
    residency: Literal["any"] | tuple[Country, ...] = Field(description="`any`, or the countries in which data and backups may lie")
    cluster: Cluster = Field(description="the Kubernetes that runs stores, jobs and proxies")
    clouds: Clouds = Field(default=Clouds(), description="the clouds that are used")
    goals: Goals = Field(description="recovery goals of every store that has none of its own")
    images: Images | None = Field(default=None, description="images by digest; needed unless the cluster is local")
    stores: dict[StoreName, Store] = Field(min_length=1, max_length=5000, description="the stores by name")
    backups: Backups | None = Field(default=None, description="recovery sets; optional in dev only")
    encryption_key: EncryptionKey | None = Field(default=None, description="the application's 32-byte key")
    rebuild: dict[StoreName, Rebuild] = Field(default={}, description="what has no backup of its own and is made anew from a store")
    alerts: Alerts | None = Field(default=None, description="who is told; optional in dev only")
    guards: Guards = Field(default=Guards(), description="guards opened on purpose")
    cross_checks: dict[StoreName, CrossCheck] = Field(default={}, max_length=200, description="what is compared between stores, by name")

    @property
    def guarded(self) -> bool:
        """Whether every resource of the tier is protected."""
        return self.environment != "dev" or self.guards.dev_guarded

    def is_open(self, resource: str, guard: str) -> bool:
        """Whether the configuration opens this guard of this resource (the gate judges the date)."""
        return any(opening.resource == resource and opening.guard == guard for opening in self.guards.opened)
