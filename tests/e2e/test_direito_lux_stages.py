"""direito-lux's four migrations through dev, staging and prod with everything that each asks for: a proven set, a rehearsal on it, another
person's approval, a restore point just now, and a promotion that rests on all of it."""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server as Reached
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.cli.main import main
from perene.contract.approval import ChangeApproval, StackEvidence
from perene.contract.promotion import PromotionRules
from perene.contract.tier import Login, TierDocument
from perene.drill.run import drill
from perene.engine.evidence import ledgers
from perene.migrate.ledger import Actor
from perene.migrate.rehearse import rehearse
from perene.migrate.restored import newest_proven
from perene.migrate.scripts import load
from perene.safety import signing
from tests.backup.tiers import tier
from tests.migrate.conftest import Database, Server, server  # noqa: F401 - the fixture
from tests.programs import needs
from tests.safety.keys import make_key

EXAMPLE = Path(__file__).parents[2] / "examples/direito-lux/migrations"
QUIET = Stages(io.StringIO(), live=False)
COMMIT = "c" * 40


class Stage:
    """One environment: its database, its tier document and its repository."""

    def __init__(self, name: str, on: Server, scripts: Path, place: Path, proof_key: str) -> None:
        self.name, self.database = name, Database(on, on.new_database(), scripts)
        self.repository = Repository(url=str(place / f"{name}-repository"), password=lambda: b"x", host=name)
        reached = Reached(host=str(on.directory), port=5432, user="admin")
        found = tier(self.repository.url, server=reached, databases=(self.database.name,))
        held = found.stores["main"]
        logins, rights = {**held.logins, "migrator": Login(user="migrator")}, {**held.rights, "migrator": "ddl"}
        stores = {"main": held.model_copy(update={"logins": logins, "rights": rights})}
        self.document: TierDocument = found.model_copy(update={"stack": name, "stores": stores, "proof_key": proof_key})

    def back_up(self) -> None:
        ensure_repository(self.repository, QUIET)
        make_set(self.document, self.repository, stages=QUIET)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with the scripts up to 003, all written by ana."""
    root = tmp_path / "checkout"
    shutil.copytree(EXAMPLE, root / "migrations", ignore=shutil.ignore_patterns("004*"))
    for words in (["init", "-q"], ["config", "user.email", "ana@x.example"], ["config", "user.name", "ana"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    commit(root)
    return root


def commit(root: Path) -> None:
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    subprocess.run(["git", "-C", root, "commit", "-qm", "scripts"], check=True)


def perene(*words: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert int(ended.value.code or 0) == code, words


@needs("restic", "zstd")
def test_the_example_goes_through_all_three_environments(
    server: Server,  # noqa: F811 - the fixture
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripts, evidence, keys = checkout / "migrations", checkout / "evidence/prod", checkout / "keys"
    jobs, rui = make_key(keys, "jobs"), make_key(keys, "rui@x.example")
    (tmp_path / "rui.pem").write_bytes(rui)
    stages = {name: Stage(name, server, scripts, tmp_path, (keys / "jobs.pub").read_text()) for name in ("dev", "staging", "prod")}
    common = ("-C", scripts, "--nothing-runs", "--database")
    for stage in stages.values():
        perene("migrate", "apply", *common, stage.database.conninfo())
    for name in ("004_users_phone.up.sql", "004_users_phone.down.sql"):
        shutil.copy(EXAMPLE / name, scripts)
    commit(checkout)

    # staging takes nothing that dev does not have
    evidence.mkdir(parents=True)
    dev, staging, prod = (stage.database.conninfo() for stage in stages.values())
    perene("migrate", "export", "dev", "--database", dev, "--to", tmp_path / "before.json")
    perene("migrate", "apply", *common, staging, "--after", tmp_path / "before.json", code=3)
    perene("migrate", "apply", *common, dev)
    perene("migrate", "export", "dev", "--database", dev, "--to", tmp_path / "before.json")
    perene("migrate", "apply", *common, staging, "--after", tmp_path / "before.json")

    # prod: a proven set, a rehearsal on it, approved by another person, a restore point of this minute
    apply = ("migrate", "apply", *common, prod, "--approved", "main", "--evidence", evidence, "--keys", keys)
    apply = (*apply, "--restore-point", f"sets:{stages['prod'].repository.url}")
    perene(*apply, code=3)
    stages["prod"].back_up()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        work.chmod(0o755)
        given = stages["prod"]
        record = drill(given.document, given.repository, key=None, signing_key=jobs, work=work, stages=QUIET)
        assert record.verdict == "passed", record.reasons
        with newest_proven(given.document, given.repository, store="main", database=None, work=work, stages=QUIET) as copy:
            rehearsed = rehearse(copy, load(scripts), store="main", actor=Actor(by="ana@x.example", commit=COMMIT))
    (evidence / "rehearsal.json").write_text(rehearsed.to_json())
    perene(*apply, code=3)
    approve = ("migrate", "approve", "main", "--impact", rehearsed.impact, "-C", scripts, "--evidence", evidence)
    perene(*approve, "--approver", "ana@x.example", "--key", tmp_path / "rui.pem", code=3)
    perene(*approve, "--approver", "rui@x.example", "--key", tmp_path / "rui.pem")
    stages["staging"].back_up()
    assert decided(stages, checkout, tmp_path, jobs, rui) == [], "prod lacks 004, and everything that this asks for is there"
    (evidence / "approval.json").rename(tmp_path / "aside.json")
    assert decided(stages, checkout, tmp_path, jobs, rui) == ["migration-approval-main/lux"]
    (tmp_path / "aside.json").rename(evidence / "approval.json")
    perene(*apply)
    capsys.readouterr()
    perene("migrate", "status", "-C", scripts, *(word for name in stages for word in ("-e", f"{name}={stages[name].database.conninfo()}")))
    assert "equal" in capsys.readouterr().out
    audited = str(stages["prod"].database.value("SELECT evidence FROM perene.migration_audit WHERE version = 4"))
    assert "approved by rui@x.example" in audited
    assert "restore point 2" in audited, "the set that was made before"


def decided(stages: dict[str, Stage], checkout: Path, place: Path, jobs: bytes, rui: bytes) -> list[str]:
    """The demands that a promotion from staging to prod does not find met, on the evidence of this moment."""
    folder, now = place / "promotion", datetime.now(UTC)
    folder.mkdir(exist_ok=True)
    for name in ("staging", "prod"):
        stage = stages[name]
        told = Path(stage.repository.url) / "evidence/sets"
        held = {"main/lux": next(iter(ledgers(told, name).values()))}
        found = StackEvidence(
            stack=name, at=now.isoformat(), commit=COMMIT, since=(now - timedelta(hours=30)).isoformat(), stores=("main",),
            drills={"main": now.isoformat()}, drift=0, alerts=(), ledgers=held,
        )  # fmt: skip
        (folder / f"{name}.json").write_text(signing.sign(found, jobs, "jobs").to_json())
    (folder / "rules.json").write_text(PromotionRules(migrations={"main/lux": "migrations"}).to_json())
    plan = ChangeApproval(
        stack="prod", commit=COMMIT, author="ana@x.example", configuration="", providers={}, state="", steps="", effect="SAFE",
        approver="rui@x.example", at=now.isoformat(), expires=(now + timedelta(hours=1)).isoformat(),
    )  # fmt: skip
    (folder / "plan.json").write_text(signing.sign(plan, rui, "rui@x.example").to_json())
    words = ["--commit", COMMIT, "--evidence", folder, "--approval", folder / "plan.json", "--keys", checkout / "keys", "--json"]
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "perene", "promote", "staging", "prod", *map(str, words)]
    environment = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False, env=environment)
    assert result.stdout, result.stderr
    return [demand["name"] for demand in json.loads(result.stdout)["demands"] if not demand["met"]]
