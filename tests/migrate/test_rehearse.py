"""Rehearsed on a copy, admitted to prod: exactly these scripts, a way back to just now."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from perene.cli.main import main
from perene.contract.migration import RehearsalRecord
from perene.contract.values import Duration
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate import admission, restore_point
from perene.migrate.deploy import Deployment
from perene.migrate.ledger import Actor
from perene.migrate.rehearse import Copy, named, rehearse
from perene.migrate.restore_point import RestorePoint, taker
from perene.migrate.scripts import load
from tests.migrate.conftest import NOTHING_RUNS, QUICK, Database, Server

ANA = Actor(by="ana", commit="c0ffee")


@pytest.fixture
def prod(database: Database) -> Database:
    """A database with data, and two pending migrations."""
    tables = "CREATE TABLE users (id bigint PRIMARY KEY, name text); CREATE TABLE ledger (id bigint PRIMARY KEY, amount numeric, u bigint);"
    database.script("001_tables", tables, "DROP TABLE users; DROP TABLE ledger;", revert="loses-data: all")
    database.deployment().apply()
    with database.connect("app") as connection:
        connection.execute("INSERT INTO users SELECT i, i::text FROM generate_series(1, 500) i")
        connection.execute("INSERT INTO ledger SELECT i, i / 3.0, i FROM generate_series(1, 500) i")
    database.script("002_phone", "ALTER TABLE users ADD COLUMN phone text;", "ALTER TABLE users DROP COLUMN phone;", revert="loses-data: x")
    database.script("003_index", "CREATE INDEX CONCURRENTLY users_name ON users (name);", "DROP INDEX CONCURRENTLY users_name;")
    return database


def copy_of(server: Server, database: Database) -> Copy:
    """A second database with the same content, as a restore makes it."""
    other = server.new_database()
    with Database(server, "postgres", database.directory).connect() as admin:
        admin.execute(f"DROP DATABASE {other}")
        admin.execute(f"CREATE DATABASE {other} TEMPLATE {database.name}")
        admin.execute(f"GRANT CREATE, TEMPORARY ON DATABASE {other} TO owner")
    return Copy(database=server.conninfo("migrator", other), recovery_set="20261124T010000Z-1a2b3c", seconds=1.5)


def record_of(server: Server, prod: Database) -> RehearsalRecord:
    return rehearse(copy_of(server, prod), load(prod.directory), store="main", actor=ANA, limits=QUICK)


def test_a_rehearsal_runs_forwards_back_and_forwards_and_leaves_the_original_alone(server: Server, prod: Database) -> None:
    copy = copy_of(server, prod)
    record = rehearse(copy, load(prod.directory), store="main", actor=ANA, limits=QUICK)
    assert record.passed
    assert [(one.version, one.down_ms is not None, one.again_ms is not None) for one in record.migrations] == [
        (2, True, True),
        (3, True, True),
    ]
    assert record.untouched == 1, "users is named by a script, ledger is not"
    assert any("users AccessExclusiveLock" in lock for lock in record.migrations[0].locks)
    assert record.total_seconds >= record.restore_seconds + record.migration_seconds
    assert prod.value("SELECT count(*) FROM perene.migrations") == 1


def test_a_table_that_no_script_names_and_that_changes_fails_the_rehearsal(server: Server, prod: Database) -> None:
    trigger = (
        "CREATE FUNCTION spill() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE ledger SET amount = 0 WHERE id = 1; RETURN NEW; END$$;"
        "CREATE TRIGGER spill BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION spill();"
    )
    with prod.connect("migrator") as connection:
        connection.execute(trigger)
    prod.script("004_fill", "UPDATE users SET phone = 'x' WHERE phone IS NULL;", "UPDATE users SET phone = NULL WHERE phone = 'x';")
    record = record_of(server, prod)
    assert (record.passed, record.differing) == (False, ("public.ledger",))


def test_named_tables_are_found_in_every_kind_of_statement(prod: Database) -> None:
    prod.script(
        "004_many", "INSERT INTO a SELECT * FROM b; DROP TABLE c; CREATE INDEX ON d (i); TRUNCATE e; ALTER TABLE f ADD COLUMN i int;", ""
    )
    assert named(load(prod.directory)) >= {f"public.{name}" for name in "abcdef"}


def evidence(tmp_path: Path, record: RehearsalRecord, *, taken: datetime) -> Path:
    directory = tmp_path / "evidence"
    directory.mkdir(exist_ok=True)
    (directory / "rehearsal.json").write_text(record.to_json())
    stores = {"main": {"started": taken.isoformat()}}
    (directory / "restore-point.json").write_text(
        json.dumps({"document": "recovery-set", "id": "S", "finished": taken.isoformat(), "stores": stores})
    )
    keys = directory / "keys"
    keys.mkdir(exist_ok=True)
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (keys / "rui.pub").write_bytes(public)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(pem)
    approved = record.model_copy(update={"passed": True})
    signed = admission.approve(approved, impact=record.impact, authors=["ana"], approver="rui", private_key=pem, valid=Duration(24, "h"))
    (directory / "approval.json").write_text(signed.to_json())
    return directory


def admitted(prod: Database, directory: Path) -> Deployment:
    found = admission.read(directory, "main", keys=directory / "keys", rehearsal_age=Duration(24, "h"), restore_point_age=Duration(30, "m"))
    return Deployment(
        database=prod.conninfo(), migrations=load(prod.directory), actor=ANA, limits=QUICK, applications=NOTHING_RUNS, admission=found
    )


def refusal(prod: Database, directory: Path) -> str:
    with pytest.raises(PereneError) as refused:
        admitted(prod, directory).apply()
    assert refused.value.exit_code is ExitCode.CANNOT_TELL
    assert prod.value("SELECT count(*) FROM perene.migrations") == 1, "nothing ran"
    return str(refused.value)


def test_prod_takes_exactly_what_was_rehearsed_and_the_audit_names_the_evidence(server: Server, prod: Database, tmp_path: Path) -> None:
    directory = evidence(tmp_path, record_of(server, prod), taken=datetime.now(UTC))
    admitted(prod, directory).apply(until=2)
    admitted(prod, directory).apply()
    assert "approved by rui for SAFE" in str(prod.value("SELECT evidence FROM perene.migration_audit WHERE version = 3"))


def test_prod_refuses_without_any_evidence_and_lists_all_that_is_missing(prod: Database, tmp_path: Path) -> None:
    text = refusal(prod, tmp_path)
    assert "rehearsal.json: is missing" in text
    assert "restore-point.json: is missing" in text
    assert "approval.json: is missing" in text


def test_prod_refuses_other_scripts_than_the_rehearsed_ones(server: Server, prod: Database, tmp_path: Path) -> None:
    directory = evidence(tmp_path, record_of(server, prod), taken=datetime.now(UTC))
    prod.script("004_more", "ALTER TABLE users ADD COLUMN more text;", "ALTER TABLE users DROP COLUMN more;", revert="loses-data: x")
    assert "the rehearsal is of other scripts" in refusal(prod, directory)


def test_prod_refuses_old_evidence_of_another_store_or_a_failed_rehearsal(server: Server, prod: Database, tmp_path: Path) -> None:
    record, now = record_of(server, prod), datetime.now(UTC)
    old = record.model_copy(update={"finished_at": (now - timedelta(hours=25)).isoformat(), "store": "other", "passed": False})
    text = refusal(prod, evidence(tmp_path, old, taken=now - timedelta(minutes=45)))
    assert "the rehearsal is 25.0 h old" in text
    assert "the rehearsal is of store other" in text
    assert "the rehearsal did not pass" in text
    assert "the restore point S is 0.8 h old, 30m is the limit" in text


def test_an_approval_counts_for_one_rehearsal_of_another_person_and_not_for_more_harm(
    server: Server, prod: Database, tmp_path: Path
) -> None:
    record = record_of(server, prod)
    directory = evidence(tmp_path, record, taken=datetime.now(UTC))
    found = admission.read(directory, "main", keys=directory / "keys", rehearsal_age=Duration(1, "d"), restore_point_age=Duration(1, "h"))
    todo = load(prod.directory)[1:]
    assert found.problems(todo, "SAFE") == []
    assert "on this database the scripts are REWRITES, approved is SAFE" in found.problems(todo, "REWRITES")[0].what
    other = record.model_copy(update={"finished_at": datetime.now(UTC).isoformat()})
    (directory / "rehearsal.json").write_text(other.to_json())
    assert "the approval is of another rehearsal" in refusal(prod, directory)
    pem = (directory / "key.pem").read_bytes()
    with pytest.raises(PereneError, match="ana wrote the scripts"):
        admission.approve(record, impact="SAFE", authors=["ana"], approver="ana", private_key=pem, valid=Duration(1, "h"))
    with pytest.raises(PereneError, match="the rehearsed scripts are SAFE, not LOSES-DATA"):
        admission.approve(record, impact="LOSES-DATA", authors=["ana"], approver="rui", private_key=pem, valid=Duration(1, "h"))


def test_a_forged_approval_is_refused(server: Server, prod: Database, tmp_path: Path) -> None:
    directory = evidence(tmp_path, record_of(server, prod), taken=datetime.now(UTC))
    path = directory / "approval.json"
    path.write_text(path.read_text().replace("SAFE", "LOSES-DATA"))
    with pytest.raises(PereneError, match="its signature does not hold"):
        admitted(prod, directory)


def test_a_cloud_sql_backup_counts_when_it_succeeded(tmp_path: Path) -> None:
    path = tmp_path / "restore-point.json"
    run = {
        "kind": "sql#backupRun",
        "status": "SUCCESSFUL",
        "endTime": "2026-11-24T05:00:00.123Z",
        "id": "17",
        "instance": "lux-prod-main-g1",
    }
    path.write_text(json.dumps(run))
    assert restore_point.read(path, "main").name == "lux-prod-main-g1/17"
    path.write_text(json.dumps({**run, "status": "FAILED"}))
    with pytest.raises(PereneError, match="the backup is FAILED"):
        restore_point.read(path, "main")


def test_a_restore_point_is_taken_only_when_everything_else_holds(server: Server, prod: Database, tmp_path: Path) -> None:
    directory = evidence(tmp_path, record_of(server, prod), taken=datetime.now(UTC) - timedelta(days=1))
    taken: list[str] = []

    def take() -> RestorePoint:
        taken.append("now")
        return RestorePoint(name="lux/17", store="", at=datetime.now(UTC))

    def attempt(at: Path) -> None:
        ages = {"rehearsal_age": Duration(24, "h"), "restore_point_age": Duration(30, "m")}
        found = admission.read(at, "main", keys=directory / "keys", take=take, **ages)
        replace(prod.deployment(), admission=found).apply()

    (tmp_path / "nothing").mkdir()
    with pytest.raises(PereneError, match="nobody has seen these scripts run") as refused:
        attempt(tmp_path / "nothing")
    assert "restore" not in str(refused.value), "it would have been taken"
    assert not taken
    attempt(directory)
    attempt(directory)
    assert taken == ["now"], "once, and not for nothing to do"
    assert "restore point lux/17" in str(prod.value("SELECT evidence FROM perene.migration_audit WHERE version = 3"))


def test_the_newest_set_beside_the_repository_is_a_restore_point_when_it_is_new(tmp_path: Path) -> None:
    (tmp_path / "evidence/sets").mkdir(parents=True)
    for day in (1, 2):
        stores = {"main": {"started": f"2026-11-0{day}T01:00:00+00:00"}}
        told = {"document": "recovery-set", "id": f"S{day}", "finished": "", "stores": stores}
        (tmp_path / f"evidence/sets/2026110{day}T010000Z-abcdef.json").write_text(json.dumps(told))
    assert taker(f"sets:{tmp_path}", "main")().name == "S2"
    with pytest.raises(PereneError, match="no recovery set is told"):
        taker(f"sets:{tmp_path / 'evidence'}", "main")()
    for wrong in ("cloud-sql:", "cloud-sql:one:two", "elsewhere:x", "sets"):
        with pytest.raises(PereneError) as refused:
            taker(wrong, "main")
        assert refused.value.exit_code is ExitCode.USAGE


class Result:
    """What a command said and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.returncode, self.stdout, self.stderr = code, out, err


@pytest.fixture
def perene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """The command in this process: a process of its own costs a second each time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["migrate", *map(str, words)])
        said = capsys.readouterr()
        return Result(int(ended.value.code or 0), said.out, said.err)

    return run


def test_the_commands_plan_rehearse_apply_and_status(server: Server, prod: Database, tmp_path: Path, perene: Callable[..., Result]) -> None:
    common = ("-C", prod.directory)
    database = ("--database", prod.conninfo())
    plan = perene("plan", *common, *database)
    assert plan.returncode == 0, plan.stderr
    assert "1 applied, 2 pending: SAFE" in plan.stdout
    document = json.loads(perene("plan", *common, *database, "--json").stdout)
    assert [one["version"] for one in document["pending"]] == [2, 3]

    (tmp_path / "evidence").mkdir()
    copy = copy_of(server, prod)
    words = ("rehearse", "main", "--copy", copy.database, "--recovery-set", "S", "--record", "evidence/rehearsal.json")
    rehearsed = perene(*words, *common)
    assert rehearsed.returncode == 0, rehearsed.stderr
    refused = perene("apply", *common, *database, "--approved", "main")
    assert refused.returncode == 3
    assert "restore-point.json: is missing" in refused.stderr
    assert perene("apply", *common, *database).returncode == 0

    assert perene("export", "dev", "--database", prod.conninfo("readonly"), "--to", "dev.json").returncode != 0, "not its right"
    assert perene("export", "dev", *database, "--to", "dev.json").returncode == 0
    status = perene("status", *common, "-e", "dev=dev.json", "-e", f"staging={copy.database}")
    assert status.returncode == 0, status.stderr
    assert "equal" in status.stdout
    (prod.directory / "003_index.up.sql").write_text("-- description: other\nSELECT 2;")
    diverged = perene("status", *common, "-e", "dev=dev.json")
    assert (diverged.returncode, "dev has 003_index with another text" in diverged.stderr) == (3, True)


def test_a_password_on_the_command_line_is_refused(prod: Database, perene: Callable[..., Result]) -> None:
    result = perene("plan", "-C", prod.directory, "--database", prod.conninfo() + " password=x")
    assert result.returncode == 2
    assert "holds a password" in result.stderr
