"""The recovery set: what one backup run brought into the repository, and the fingerprint of the very data it holds (design section 6).

The manifest is written last. A set without one does not exist.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from perene.contract.audit import AuditHead
from perene.contract.base import Document, Value
from perene.contract.migration import LedgerExport
from perene.contract.tier import StoreKind, TierDocument


class Count(Value):
    """Rows (or objects) and the order-free sum of their 64-bit hashes, as a decimal text (it outgrows every integer type)."""

    rows: int
    hash: str


class DatabaseFingerprint(Value):
    """Everything in one database that a restore must bring back.

    tables: `schema.table` -> content; large_objects: pages of large objects; schema: `kind name` -> digest of its definition, owner and
    rights; sequences: `schema.sequence` -> last value (a restored one may be higher, never lower); extensions: name -> version.
    """

    tables: dict[str, Count]
    large_objects: Count
    objects: dict[str, str]
    sequences: dict[str, int]
    extensions: dict[str, str]


class Role(Value):
    """A role without its password. attributes: like `LOGIN`, `CREATEDB`, `NOINHERIT`; settings: `name=value`."""

    attributes: tuple[str, ...]
    member_of: tuple[str, ...]
    settings: tuple[str, ...]


class DatabaseRecord(Value):
    """How a database itself was made: what `pg_dump` leaves out.

    rights: `grantee=PRIVILEGE`; settings: `role name=value`, the role empty for all.
    """

    owner: str
    encoding: str
    locale_provider: str
    locale: str
    collate: str
    ctype: str
    connection_limit: int
    settings: tuple[str, ...]
    rights: tuple[str, ...]


class PostgresContent(Value):
    """Fingerprint of a PostgreSQL store: each database and the roles of the server. sizes: bytes that a database took on the server."""

    kind: Literal["postgres"] = "postgres"
    version: Literal[1] = 1
    databases: dict[str, DatabaseFingerprint]
    records: dict[str, DatabaseRecord]
    roles: dict[str, Role]
    sizes: dict[str, int] = {}


class FilesContent(Value):
    """Fingerprint of a tree of files: the hash over its sorted listing, which is a part of the set by itself.

    changed: files that were written while they were read.
    """

    kind: Literal["files"] = "files"
    version: Literal[1] = 1
    entries: int
    bytes: int
    hash: str
    changed: tuple[str, ...] = ()


class ItemsContent(Value):
    """Fingerprint of any other store: a content hash per named thing (collection, keyspace, queue, alias)."""

    kind: Literal["items"] = "items"
    version: Literal[1] = 1
    items: dict[str, Count]


Content = Annotated[PostgresContent | FilesContent | ItemsContent, Field(discriminator="kind")]


class Part(Value):
    """One stream or tree in the repository, found again by the set's tag and this path. bytes: its size when read back."""

    name: str
    path: str
    bytes: int


class StoreSet(Value):
    """One store of the set.

    version: the server's, as it says itself; tool: what made the dump, with its version; position: log position or the like;
    seconds: time for the dump and for the fingerprint, apart; warnings: what a person should know and what did not fail the set;
    ledgers: database -> its migrations with their audit, read in the snapshot that was dumped.
    """

    kind: StoreKind
    version: str
    tool: str
    started: str
    finished: str
    position: str
    parts: tuple[Part, ...]
    content: Content
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()
    ledgers: dict[str, LedgerExport] = {}


class KeyProof(Value):
    """The key's generation and the sealed sentinel (hexadecimal) that custody made once under it. Only the drill may read the key.

    A backup cannot name the key's own fingerprint, because it may not read the key: the sentinel is what the key must open.
    earlier: generation -> sentinel of the keys before it that still sealed data of the set.
    """

    generation: int
    sentinel: str
    earlier: dict[str, str] = {}

    @property
    def sentinels(self) -> dict[int, bytes]:
        """Generation -> sentinel of every key that the set needs."""
        return {int(number): bytes.fromhex(sealed) for number, sealed in (self.earlier | {str(self.generation): self.sentinel}).items()}


class RecoverySet(Document):
    """The manifest. id: `20261124T010000Z-1a2b3c`; times: ISO 8601 in UTC; key: absent only where the tier has no key.

    audit: where each writer's chain of audit lines ended when the set was made, so that a cut-off end is noticed.
    reason: empty for the scheduled sets; `pre-restore` for what was live before a restore took its place.
    every: until the next one is due, `7d` where the databases are larger than the plan's size for weekly sets.
    """

    KIND: ClassVar[str] = "recovery-set"
    document: Literal["recovery-set"] = "recovery-set"
    version: Literal[1] = 1
    id: str
    stack: str
    started: str
    finished: str
    tier: TierDocument
    stores: dict[str, StoreSet]
    canary: StoreSet | None = None
    key: KeyProof | None = None
    audit: tuple[AuditHead, ...] = ()
    versions: dict[str, str]
    reason: str = ""
    every: Literal["1d", "7d"] = "1d"

    @property
    def bytes(self) -> int:
        """Bytes of all parts when read back."""
        return sum(part.bytes for store in self.stores.values() for part in store.parts)


class Removal(Document):
    """Said beside the repository before a set is removed: whoever watches stops counting on it. at: ISO 8601 in UTC."""

    KIND: ClassVar[str] = "removal"
    document: Literal["removal"] = "removal"
    version: Literal[1] = 1
    stack: str
    set: str
    at: str
