"""The tier document: everything that a job, a restore or a person needs to know about a running tier (design section 6).

The program exports it as the stack output `tier`; in the cluster each store has one ConfigMap with its entry. It holds references to
secrets, never a secret.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from perene.contract.base import Document, Value
from perene.contract.cross_check import CrossCheck

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
    """How to reach any other store: `redis`, `http` (Qdrant's REST) or `amqp` on host and port.

    ca: the authority that clients verify; what the program declares always has one, and the port then speaks TLS only (rediss, https,
    amqps). management_port: RabbitMQ's HTTP API on the same host, https with the same authority.
    """

    kind: Literal["service"] = "service"
    protocol: Literal["redis", "http", "amqp"]
    host: str
    port: int
    ca: SecretRef | None = None
    management_port: int | None = None


Endpoint = Annotated[PostgresEndpoint | ServiceEndpoint, Field(discriminator="kind")]


class Login(Value):
    """An identity in a store: a password by reference, or an IAM principal that a Kubernetes service account acts as."""

    user: str
    password: SecretRef | None = None
    principal: str | None = None
    service_account: str | None = None


class Volume(Value):
    """A store's volume in the cluster. size: as written in the configuration (`20GiB`).

    mount_path: where the server and every job that needs the volume see it; `/stores/<store>` for all kinds but PostgreSQL, the same in
    both, because RabbitMQ's quorum queues hold absolute paths.
    """

    claim: str
    size: str
    storage_class: str
    mount_path: str


class Check(Value):
    """One configured check: after a restore there are at least `at_least`.

    count: rows of a table (database: which one); keys by pattern (database: Redis' number, `0`); points of a collection or alias; messages
    of a queue (database: the virtual host); files by pattern, relative to the volume.
    """

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


class Collection(Value):
    """A collection of vectors: dimensions and distance (`Cosine`, `Dot`, `Euclid`, `Manhattan`)."""

    size: int
    distance: str


class Owner(Value):
    """Who owns a file volume's content. mode: of its directories, four octal digits."""

    uid: int
    gid: int
    mode: str


class Store(Value):
    """One store of the tier.

    databases: name -> schemas (PostgreSQL); vhosts: virtual host -> quorum queues that are always there (RabbitMQ);
    logins: user -> login; rights: user -> admin, read-write, read-only, ddl, dump or monitor. Qdrant has the logins admin (the API key)
    and readonly (the read-only key), both as `password`; a file volume has none.
    workload: StatefulSet name in the cluster; its one pod is `<workload>-0`, the container is called like the kind.
    mode: of Redis; messages: how RabbitMQ's are backed up; collections, aliases: Qdrant's; owner, directories: of a file volume;
    free_space: the share of it that must stay free.
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
    slow_query: str | None = None
    guarded: bool
    mode: Literal["cache", "store"] | None = None
    messages: Literal["definitions", "stopped"] | None = None
    vhosts: dict[str, tuple[str, ...]] = {}
    collections: dict[str, Collection] = {}
    aliases: dict[str, str] = {}
    owner: Owner | None = None
    directories: tuple[str, ...] = ()
    free_space: float | None = None


class Repository(Value):
    """The backup repository. url: restic's own form (`/repository`, `s3:https://...`, `gs:bucket:/`); sealed_copy: the same.

    undelete_days: for how long the bucket brings back what was deleted; lock_days: for how long the sealed copy's lets nobody delete.
    """

    kind: Literal["volume", "s3", "gcs"]
    url: str
    password: SecretRef
    claim: str | None = None
    sealed_copy: str | None = None
    undelete_days: int | None = None
    lock_days: int | None = None


class BackupPlan(Value):
    """When sets are made and kept. at: `"01:00 America/Sao_Paulo"`; keep: rule -> count (`daily`, `weekly`, `monthly`).

    weekly_above: bytes that the databases of a store take, above which sets are weekly; None: always daily.
    """

    at: str
    keep: dict[str, int]
    drill_every: str
    pitr_drill_every: str | None = None
    sealed_every: str | None = None
    weekly_above: int | None = None


class KeyGeneration(Value):
    """One generation of the application's key. in_use: data is still sealed with it, so that sets made now need it too."""

    ref: SecretRef
    sentinel: SecretRef | None = None
    in_use: bool = True


class AlertLimits(Value):
    """From where on somebody is told: shares of a disk and of the connections, between 0 and 1."""

    disk: float
    connections: float


class EncryptionKey(Value):
    """The application's 32-byte key by reference, and the sentinel that was sealed with it when it was made.

    generation: of the key that seals now; earlier: number -> the ones before it that are still kept.
    """

    kind: Literal["kubernetes", "gcp-secret-manager", "aws-secrets-manager"]
    ref: SecretRef
    sentinel: SecretRef | None = None
    generation: int = 1
    earlier: dict[str, KeyGeneration] = {}

    @property
    def generations(self) -> dict[int, KeyGeneration]:
        """Every generation that is kept, oldest first."""
        earlier = {int(number): one for number, one in sorted(self.earlier.items(), key=lambda entry: int(entry[0]))}
        return earlier | {self.generation: KeyGeneration(ref=self.ref, sentinel=self.sentinel)}


class FacesRebuild(Value):
    """A face collection in AWS Rekognition, indexed anew from the sealed photos in a table (`schema.table`).

    id, bytes: its columns; at_least: share of the rows that must be indexed.
    """

    kind: Literal["rekognition"] = "rekognition"
    region: str
    collection: str
    store: str
    database: str
    table: str
    id: str
    bytes: str
    at_least: float = 1.0


class CommandRebuild(Value):
    """A set-up command of the application that skips what exists. check: ends with 0 when everything is there; limit: `10m`."""

    kind: Literal["command"] = "command"
    command: tuple[str, ...]
    check: tuple[str, ...]
    limit: str


Rebuild = Annotated[FacesRebuild | CommandRebuild, Field(discriminator="kind")]


class TierDocument(Document):
    """One tier: the whole contract between the program and everything that runs beside it.

    proof_key: public key (PEM) of drill records, absent until `perene secrets init` made it; recipient: the age recipient of the escrow, to
    which whatever leaves the tier is sealed.
    """

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
    alerts: AlertLimits | None = None
    encryption_key: EncryptionKey | None = None
    cross_checks: dict[str, CrossCheck] = {}
    signing: SecretRef | None = None
    rebuild: dict[str, Rebuild] = {}
    proof_key: str | None = None
    recipient: str | None = None
