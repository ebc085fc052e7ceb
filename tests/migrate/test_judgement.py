"""What each kind of statement is judged as, with a live catalogue; and what a directory, a header or a script may not say."""

from pathlib import Path

import pytest

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate.catalogue import Catalogue, Relation
from perene.migrate.classify import classify, worst
from perene.migrate.effects import Effects
from perene.migrate.lint import house_problems, promises, squawk
from perene.migrate.scripts import Migration, Script, load
from perene.migrate.sql import parse

COLUMNS = {
    "id": ("integer", True),
    "name": ("character varying(20)", False),
    "note": ("text", False),
    "price": ("numeric(10,2)", False),
    "at": ("timestamp with time zone", False),
    "proven": ("text", False),
}
USERS = Relation(kind="r", rows=1_000_000, size=1_000_000_000, mine=True, columns=COLUMNS, checks=("CHECK ((proven IS NOT NULL))",))
LIVE = Catalogue(
    relations={
        "public.users": USERS,
        "public.users_name": Relation(kind="i", rows=0, size=10_000_000, mine=True, table="public.users"),
    },
    volatile=frozenset({"random", "gen_random_uuid", "wipe", "clock_timestamp"}),
)

CASES = [
    ("SAFE", "CREATE TABLE a (id int PRIMARY KEY)"),
    ("SAFE", "CREATE TABLE a (id int); DROP TABLE a; CREATE INDEX ON a (id); ALTER TABLE a DROP COLUMN id"),
    ("SAFE", "CREATE TABLE b (u int REFERENCES users (id))"),
    ("SAFE", "ALTER TABLE users ADD COLUMN phone text"),
    ("SAFE", "ALTER TABLE users ADD COLUMN phone text NOT NULL DEFAULT ''"),
    ("SAFE", "ALTER TABLE users ADD COLUMN t timestamptz DEFAULT now()"),
    ("SAFE", "ALTER TABLE users ALTER COLUMN name TYPE varchar(40)"),
    ("SAFE", "ALTER TABLE users ALTER COLUMN name TYPE text"),
    ("SAFE", "ALTER TABLE users ALTER COLUMN price TYPE numeric(12,2)"),
    ("SAFE", "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID"),
    ("SAFE", "ALTER TABLE users VALIDATE CONSTRAINT c"),
    ("SAFE", "CREATE INDEX CONCURRENTLY i ON users (name)"),
    ("SAFE", "DROP INDEX CONCURRENTLY users_name"),
    ("SAFE", "ALTER TABLE users ADD CONSTRAINT u UNIQUE USING INDEX users_name"),
    ("SAFE", "INSERT INTO users (id) VALUES (1) ON CONFLICT DO NOTHING"),
    ("SAFE", "ALTER TABLE users ALTER COLUMN proven SET NOT NULL"),
    ("LOCKS", "CREATE INDEX i ON users (name)"),
    ("LOCKS", "ALTER TABLE users ALTER COLUMN note SET NOT NULL"),
    ("LOCKS", "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0)"),
    ("LOCKS", "ALTER TABLE users ADD CONSTRAINT u UNIQUE (name)"),
    ("LOCKS", "ALTER TABLE users RENAME COLUMN name TO full_name"),
    ("LOCKS", "ALTER TABLE users RENAME TO people"),
    ("LOCKS", "DROP VIEW v"),
    ("LOCKS", "DROP INDEX users_name"),
    ("LOCKS", "UPDATE users SET note = 'x' WHERE id = 1"),
    ("LOCKS", "ALTER TABLE users ADD COLUMN a text; UPDATE users SET a = name"),
    ("LOCKS", "INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'"),
    ("LOCKS", "SELECT wipe()"),
    ("LOCKS", "CALL wipe()"),
    ("LOCKS", "DO $$ BEGIN PERFORM 1; END $$"),
    ("LOCKS", "ALTER TABLE users SET SCHEMA archive"),
    ("REWRITES", "ALTER TABLE users ALTER COLUMN id TYPE bigint"),
    ("REWRITES", "ALTER TABLE users ADD COLUMN u uuid DEFAULT gen_random_uuid()"),
    ("REWRITES", "ALTER TABLE users ADD COLUMN n bigserial"),
    ("REWRITES", "ALTER TABLE users ADD COLUMN g int GENERATED ALWAYS AS (id + 1) STORED"),
    ("REWRITES", "VACUUM FULL users"),
    ("REWRITES", "CLUSTER users USING users_name"),
    ("LOSES-DATA", "DROP TABLE users"),
    ("LOSES-DATA", "DROP SCHEMA public CASCADE"),
    ("LOSES-DATA", "DROP VIEW v CASCADE"),
    ("LOSES-DATA", "DROP OWNED BY app"),
    ("LOSES-DATA", "TRUNCATE users"),
    ("LOSES-DATA", "DELETE FROM users"),
    ("LOSES-DATA", "DELETE FROM users WHERE true"),
    ("LOSES-DATA", "DELETE FROM users WHERE id = 1"),
    ("LOSES-DATA", "WITH gone AS (DELETE FROM users RETURNING 1) SELECT count(*) FROM gone"),
    ("LOSES-DATA", "SELECT 1 /* not a comment's end -- */; DELETE FROM users"),
    ("LOSES-DATA", "UPDATE users SET note = NULL"),
    ("LOSES-DATA", "MERGE INTO users u USING users v ON u.id = v.id WHEN MATCHED THEN DELETE"),
    ("LOSES-DATA", "DO $$ BEGIN EXECUTE 'dr' || 'op table users'; END $$"),
    ("LOSES-DATA", "ALTER TABLE users DROP COLUMN note"),
    ("LOSES-DATA", "ALTER TABLE users ALTER COLUMN note TYPE varchar(10)"),
    ("LOSES-DATA", "ALTER TABLE users ALTER COLUMN name TYPE varchar(10)"),
    ("LOSES-DATA", "ALTER TABLE users ALTER COLUMN price TYPE numeric(12,1)"),
    ("LOSES-DATA", "ALTER TABLE users ALTER COLUMN at TYPE date"),
    ("LOSES-DATA", "ALTER TABLE users ALTER COLUMN id TYPE bigint USING 0"),
    ("LOSES-DATA", "ALTER TABLE users ALTER COLUMN nobody TYPE bigint"),
    ("LOSES-DATA", "ALTER TABLE users ADD COLUMN phone text NOT NULL"),
    ("LOSES-DATA", "ALTER TABLE users SET UNLOGGED"),
    ("LOSES-DATA", "ALTER SEQUENCE users_id_seq RESTART"),
]


@pytest.mark.parametrize(("impact", "text"), CASES, ids=[text for _, text in CASES])
def test_each_statement_is_judged_by_what_it_does(impact: str, text: str) -> None:
    assert worst(classify(parse(text), Effects(catalogue=LIVE))) == impact


def test_strings_and_comments_are_not_mistaken_for_statements() -> None:
    text = "-- DROP TABLE users\n/* DELETE FROM users */ INSERT INTO users (note) VALUES ('TRUNCATE users; DROP TABLE users')"
    assert worst(classify(parse(text), Effects(catalogue=LIVE))) == "SAFE"


def test_expected_lock_time_follows_the_size_of_the_live_table() -> None:
    (index,) = classify(parse("CREATE INDEX i ON users (name)"), Effects(catalogue=LIVE))
    (rewrite,) = classify(parse("ALTER TABLE users ALTER COLUMN id TYPE bigint"), Effects(catalogue=LIVE))
    assert (index.lock, index.expected_ms, index.table_bytes) == ("SHARE", 10_010, 1_000_000_000)
    assert (rewrite.lock, rewrite.expected_ms) == ("ACCESS EXCLUSIVE", 40_010)


@pytest.mark.parametrize(
    "text",
    ["BEGIN", "COMMIT", "SET lock_timeout = 0", "SET ROLE admin", "RESET ALL", "DROP DATABASE lux", "ALTER SYSTEM SET fsync = off",
     "COPY users TO '/tmp/x'", "CREATE INDEX CONCURRENTLY ON users (name)", "ALTER ROLE app SUPERUSER", "DISCARD ALL"],
)  # fmt: skip
def test_what_no_script_may_hold(text: str) -> None:
    assert house_problems(Script(path="x.sql", text=text)), text


def migration(up: str, down: str, **header: str) -> Migration:
    fields = {"description": "x", **header}
    return Migration(version=1, name="x", up=Script(path="up", text=up, header=fields), down=Script(path="down", text=down))


def judged(one: Migration) -> list[str]:
    up, down = (classify(script.statements, Effects(catalogue=LIVE)) for script in (one.up, one.down))
    return [problem.what for problem in promises(one, up, down)]


def test_a_rename_the_running_version_uses_is_refused_in_an_expanding_migration() -> None:
    rename = "ALTER TABLE users RENAME COLUMN name TO full_name"
    back = "ALTER TABLE users RENAME COLUMN full_name TO name"
    assert "takes away what the running version may use (rename" in judged(migration(rename, back))[0]
    assert judged(migration(rename, back, phase="contract", compatible=">=2")) == []


def test_a_revert_that_loses_what_was_written_meanwhile_must_say_so() -> None:
    add, drop = "ALTER TABLE users ADD COLUMN phone text", "ALTER TABLE users DROP COLUMN phone"
    assert "the header says keeps-data" in judged(migration(add, drop))[0]
    assert judged(migration(add, drop, revert="loses-data: phones")) == []
    assert "the down script is empty" in judged(migration(add, ""))[0]
    assert judged(migration(add, "", revert="impossible: why")) == []


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / (name.replace("__", ".") + ".sql")).write_text(text)
    return directory


GOOD = "-- description: x\nSELECT 1;\n"


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"001_a__up": GOOD}, "the down file is missing"),
        ({"001_a__up": GOOD, "001_b__down": GOOD}, "version 1 has two names"),
        ({"001_a__up": GOOD, "001_a__down": "", "1_a__up": GOOD}, "version 1 has two up files"),
        ({"first__up": GOOD}, "the name is no migration's"),
        ({"001_a__up": "SELECT 1;", "001_a__down": ""}, "description: is missing"),
        ({"001_a__up": GOOD.replace("SELECT", "-- phase: shrink\nSELECT"), "001_a__down": ""}, "phase: shrink"),
        ({"001_a__up": GOOD.replace("SELECT", "-- phase: contract\nSELECT"), "001_a__down": ""}, "does not say which versions"),
        ({"001_a__up": GOOD.replace("SELECT", "-- compatible: two\nSELECT"), "001_a__down": ""}, "compatible: two"),
        ({"001_a__up": GOOD.replace("SELECT", "-- revert: loses-data\nSELECT"), "001_a__down": ""}, "revert: loses-data"),
        ({"001_a__up": GOOD.replace("SELECT", "-- blocked-limit: 5\nSELECT"), "001_a__down": ""}, "blocked-limit: 5"),
        ({"001_a__up": GOOD.replace("SELECT", "-- tags: x\nSELECT"), "001_a__down": ""}, "the header has no key 'tags'"),
    ],
)
def test_a_directory_that_is_not_clear_is_refused(tmp_path: Path, files: dict[str, str], what: str) -> None:
    with pytest.raises(PereneError) as refused:
        load(write(tmp_path, **files))
    assert what in str(refused.value)
    assert refused.value.exit_code is ExitCode.CANNOT_TELL


def test_what_is_no_sql_is_refused_with_the_file(tmp_path: Path) -> None:
    (one,) = load(write(tmp_path, **{"001_a__up": "-- description: x\nCREATE TABEL a ();", "001_a__down": ""}))
    with pytest.raises(PereneError, match="this is not SQL"):
        _ = one.up.statements


def test_squawk_is_asked_and_its_remarks_carry_its_rule(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_text("ALTER TABLE users RENAME COLUMN a TO b;")
    (remark,) = squawk([Script(path=str(path), text=path.read_text())], 17)[str(path)]
    assert (remark.rule, remark.line) == ("renaming-column", 1)
