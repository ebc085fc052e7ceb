"""What can be wrong with a restored database: each kind is done to a canary on purpose, and the drill must notice it.

file: changes the dump before it is restored; sql: is run in the restored canary; admin: is run on its server; key: another key or a
changed sentinel is used.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Damage:
    """One kind. way: where it is done; action: SQL, or the name of a change to the dump or the key; `{db}` is the canary's name."""

    kind: str
    way: Literal["file", "sql", "admin", "key"]
    action: str = ""


CATALOGUE: tuple[Damage, ...] = (
    Damage("one row changed", "sql", "UPDATE customer SET score = score + 1e-9 WHERE id = 77"),
    Damage("one row lost", "sql", "DELETE FROM invoice WHERE id = 500"),
    Damage("one row twice", "sql", "INSERT INTO audit SELECT * FROM audit LIMIT 1"),
    Damage("two values exchanged", "sql", "UPDATE invoice SET cents = CASE id WHEN 1 THEN 26 ELSE 13 END WHERE id IN (1, 2)"),
    Damage("a value became null", "sql", "UPDATE customer SET born = NULL WHERE id = 9"),
    Damage("a time moved by a zone", "sql", "UPDATE invoice SET at = at + interval '3 hours' WHERE id = 40"),
    Damage("a byte changed in binary data", "sql", "UPDATE customer SET raw = set_byte(raw, 3, 0) WHERE id = 3 AND get_byte(raw, 3) <> 0"),
    Damage("a table emptied", "sql", "TRUNCATE private"),
    Damage("a table dropped", "sql", "DROP TABLE private"),
    Damage("a table too many", "sql", "CREATE TABLE stowaway (id int)"),
    Damage("a column dropped", "sql", "ALTER TABLE customer DROP COLUMN born"),
    Damage("a column of another type", "sql", "ALTER TABLE private ALTER v TYPE bigint"),
    Damage("a default lost", "sql", "ALTER TABLE invoice ALTER id DROP IDENTITY"),
    Damage("an index lost", "sql", "DROP INDEX invoice_at"),
    Damage("a constraint lost", "sql", "ALTER TABLE invoice DROP CONSTRAINT invoice_cents_check"),
    Damage("a foreign key lost", "sql", "ALTER TABLE invoice DROP CONSTRAINT invoice_customer_fkey"),
    Damage("a view changed", "sql", "CREATE OR REPLACE VIEW open_invoice AS SELECT * FROM invoice WHERE cents > 101"),
    Damage(
        "a function changed", "sql", "CREATE OR REPLACE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
    ),
    Damage("a trigger off", "sql", "ALTER TABLE invoice DISABLE TRIGGER bumping"),
    Damage("a policy lost", "sql", "DROP POLICY own ON private"),
    Damage("row-level security off", "sql", "ALTER TABLE private DISABLE ROW LEVEL SECURITY"),
    Damage("a sequence behind", "sql", "SELECT setval('ticket', 4999)"),
    Damage("a right lost", "sql", "REVOKE SELECT ON customer FROM perene_canary_reader"),
    Damage("a right too many", "sql", "GRANT DELETE ON customer TO PUBLIC"),
    Damage("an enum with one more value", "sql", "ALTER TYPE state ADD VALUE 'lost'"),
    Damage("a large object lost", "sql", "SELECT lo_unlink(7001)"),
    Damage("a large object changed", "sql", "SELECT lo_put(7001, 0, 'x')"),
    Damage("a partition detached", "sql", "ALTER TABLE audit DETACH PARTITION audit_2026"),
    Damage("an old set", "sql", "UPDATE set_name SET id = '20200101T000000Z-000000'"),
    Damage("a database setting lost", "admin", "ALTER DATABASE {db} RESET ALL"),
    Damage("a right on the database too many", "admin", "GRANT CREATE ON DATABASE {db} TO PUBLIC"),
    Damage("a missing role", "admin", "ALTER ROLE perene_canary_reader RENAME TO somebody_else"),
    Damage("a role that may log in", "admin", "ALTER ROLE perene_canary_reader LOGIN"),
    Damage("a role that became a superuser", "admin", "ALTER ROLE perene_canary_reader SUPERUSER"),
    Damage("a truncated dump", "file", "truncate"),
    Damage("an empty dump", "file", "empty"),
    Damage("a dump without its last bytes", "file", "tail"),
    Damage("one byte changed in the dump", "file", "flip"),
    Damage("zeros in the dump", "file", "zeros"),
    Damage("another database's dump", "file", "other"),
    Damage("the wrong key", "key", "wrong"),
    Damage("a changed sentinel", "key", "changed"),
)


def of_day(ordinal: int) -> Damage:
    """The kind whose turn it is: each drill another one, all of them before one comes again."""
    return CATALOGUE[ordinal % len(CATALOGUE)]


def spoil(dump: Path, how: str, other: bytes) -> None:
    """Damage a dump file in place. other: the content of another database's dump."""
    content = dump.read_bytes()
    middle = content.index(b"@canary.example")
    changes: dict[str, Callable[[], bytes]] = {
        "truncate": lambda: content[: len(content) // 2],
        "empty": lambda: b"",
        "tail": lambda: content[:-1000],
        "flip": lambda: content[:middle] + b"#" + content[middle + 1 :],
        "zeros": lambda: content[:middle] + bytes(4096) + content[middle + 4096 :],
        "other": lambda: other,
    }
    dump.write_bytes(changes[how]())


def spoil_key(key: bytes, sentinel: bytes, how: str) -> tuple[bytes, bytes]:
    """Another key, or another sentinel."""
    return (os.urandom(32), sentinel) if how == "wrong" else (key, sentinel[:-1] + bytes([sentinel[-1] ^ 1]))
