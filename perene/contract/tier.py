"""The tier document: everything that a job, a restore or a person needs to know about a running tier (design section 6).

The program exports it as the stack output `tier`; in the cluster each store has one ConfigMap with its entry. It holds references to
secrets, never a secret.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from perene.contract.base import Document, Value

Environment = Literal["dev", "staging", "prod"]
StoreKind = Literal["postgres", "cloud-sql", "redis", "qdrant", "rabbitmq", "files"]


class SecretRef(Value):
    """Where a secret's value lives.

    scope: the namespace, project or region; name: the Secret's name or the vault's secret id; key: the key inside a Kubernetes Secret.
    """

    vault: Literal["kubernetes", "gcp", "aws"]
    scope: str
    name: str
    key: str = ""


class PostgresEndpoint(Value):
    """How to reach a PostgreSQL, the same for both database kinds.

    host: a DNS name or address that the certificate carries; ca: the authority that clients verify (None: the proxy does it);
    connection_name: `project:region:instance` for the Cloud SQL proxy.
    """

    kind: Literal["postgres"] = "postgres"
    host: str
    port: int = 5432
    ca: SecretRef | None = None
    connection_name: str | None = None


class ServiceEndpoint(Value):
    """How to reach any other store: `redis`, `http` or `amqp` on host and port."""

    kind: Literal["service"] = "service"
    protocol: Literal["redis", "http", "amqp"]
    host: str
    port: int


Endpoint = Annotated[PostgresEndpoint | ServiceEndpoint, Field(discriminator="kind")]


class Login(Value):
    """An identity in a store: a password by reference, or an IAM principal that a Kubernetes service account acts as."""

    user: str
    password: SecretRef | None = None
    principal: str | None = None
    service_account: str | None = None


class Volume(Value):
    """A store's volume in the cluster. size: as written in the configuration (`20GiB`)."""

    claim: str
    size: str
    storage_class: str
    mount_path: str


class Check(Value):
    """One configured check: a table's rows must be at least `at_least` after a restore."""

    count: str
    at_least: int
    database: str = ""


class Goals(Value):
    """Recovery goals as durations (`5m`, `1h`)."""

    rpo: str
    rto: str


class StoreBackup(Value):
    """How a store comes back: `logical` sets in the repository, `automated` by the cloud service, or both; pitr_days 0 means none."""

    ways: tuple[Literal["logical", "automated", "pitr", "rebuild"], ...]
    automated_keep: int = 0
    pitr_days: int = 0


class Store(Value):
    """One store of the tier.

    databases: name -> schemas; logins: user -> login; rights: user -> admin, read-write, read-only, ddl or dump;
    workload: StatefulSet name in the cluster.
    """

    kind: StoreKind
    generation: int
    version: str
    endpoint: Endpoint | None = None
    workload: str | None = None
    image: str | None = None
    volume: Volume | None = None
    databases: dict[str, tuple[str, ...]] = {}
    logins: dict[str, Login] = {}
    backup: StoreBackup
    goals: Goals
    checks: tuple[Check, ...] = ()
    rights: dict[str, str] = {}
    guarded: bool


class Repository(Value):
    """The backup repository. url: restic's own form (`/repository`, `s3:https://...`, `gs:bucket:/`)."""

    kind: Literal["volume", "s3", "gcs"]
    url: str
    password: SecretRef
    claim: str | None = None
    sealed_copy: str | None = None


class BackupPlan(Value):
    """When sets are made and kept. at: `"01:00 America/Sao_Paulo"`; keep: rule -> count (`daily`, `weekly`, `monthly`)."""

    at: str
    keep: dict[str, int]
    drill_every: str
    pitr_drill_every: str | None = None
    sealed_every: str | None = None


class EncryptionKey(Value):
    """The application's 32-byte key by reference, and the sentinel that was sealed with it when it was made."""

    kind: Literal["kubernetes", "gcp-secret-manager", "aws-secrets-manager"]
    ref: SecretRef
    sentinel: SecretRef | None = None
    generation: int = 1


class TierDocument(Document):
    """One tier: the whole contract between the program and everything that runs beside it."""

    KIND: ClassVar[str] = "tier"
    document: Literal["tier"] = "tier"
    version: Literal[1] = 1
    stack: str
    system: str
    environment: Environment
    owner: str
    guarded: bool
    namespace: str
    stores: dict[str, Store]
    repository: Repository | None = None
    backups: BackupPlan | None = None
    encryption_key: EncryptionKey | None = None
    signing: SecretRef | None = None
