"""A rehearsal restores the newest proven set by itself: nothing proven, nothing rehearsed; the original is never touched."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from perene.backup import sets
from perene.backup.postgres.server import Server as Reached
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.tier import Login, TierDocument
from perene.drill.run import drill
from perene.errors import PereneError
from perene.migrate.ledger import Actor
from perene.migrate.rehearse import rehearse
from perene.migrate.restored import newest_proven
from perene.migrate.scripts import load
from tests.backup.tiers import tier
from tests.migrate.conftest import QUICK, Database, Server
from tests.programs import needs
from tests.quick_key import new_repository
from tests.safety.keys import make_key

pytestmark = [needs("restic", "zstd"), pytest.mark.slow]

QUIET = Stages(io.StringIO(), live=False)


@dataclass
class Lux:
    """A database with one migration applied and one pending, backed up once, in a tier whose migrator is declared."""

    database: Database
    document: TierDocument
    repository: Repository
    work: Path
    signing_key: bytes

    def prove(self) -> None:
        record = drill(self.document, self.repository, key=None, signing_key=self.signing_key, work=self.work, stages=QUIET)
        assert record.verdict == "passed", record.reasons


@pytest.fixture
def lux(server: Server, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lux]:
    tables = "CREATE TABLE cases (id bigint PRIMARY KEY, note text); CREATE TABLE users (id bigint PRIMARY KEY);"
    database.script("001_tables", tables, "DROP TABLE cases; DROP TABLE users;", revert="loses-data: all")
    database.deployment().apply()
    with database.connect("app") as connection:
        connection.execute("INSERT INTO cases SELECT i, md5(i::text) FROM generate_series(1, 200) i")
    database.script("002_phone", "ALTER TABLE users ADD COLUMN phone text;", "ALTER TABLE users DROP COLUMN phone;", revert="loses-data: x")
    repository = new_repository(tmp_path / "repository")
    reached = Reached(host=str(server.directory), port=5432, user="admin")
    document = tier(repository.url, server=reached, databases=(database.name,))
    main = document.stores["main"]
    main = main.model_copy(
        update={"logins": {**main.logins, "migrator": Login(user="migrator")}, "rights": {**main.rights, "migrator": "ddl"}}
    )
    signing_key = make_key(tmp_path / "keys", "jobs")
    public = (tmp_path / "keys/jobs.pub").read_text()
    document = document.model_copy(update={"stores": {"main": main}, "proof_key": public})
    make_set(document, repository, stages=QUIET)
    # As root the scratch server runs as nobody, and pytest's own directories are closed.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Lux(database, document, repository, Path(folder), signing_key)


def test_only_a_proven_set_is_rehearsed_on_and_the_original_stays_as_it_is(lux: Lux) -> None:
    with (
        pytest.raises(PereneError, match="no recovery set is proven"),
        newest_proven(lux.document, lux.repository, store="main", database=None, work=lux.work, stages=QUIET),
    ):
        pass
    for store, name in (("other", None), ("main", "other")):
        with (
            pytest.raises(PereneError, match="it is not clear which database"),
            newest_proven(lux.document, lux.repository, store=store, database=name, work=lux.work, stages=QUIET),
        ):
            pass
    held = sets.load(lux.repository, "newest").stores["main"].ledgers[lux.database.name]
    assert [(row.version, row.by) for row in held.applied] == [(1, "ana")], "the set tells its migrations"
    assert [event.action for event in held.audit] == ["apply"]
    lux.prove()
    with newest_proven(lux.document, lux.repository, store="main", database=None, work=lux.work, stages=QUIET) as copy:
        record = rehearse(copy, load(lux.database.directory), store="main", actor=Actor(by="ana", commit="c0ffee"), limits=QUICK)
    assert record.passed
    assert [one.version for one in record.migrations] == [2], "the ledger came back with the set"
    assert "public.cases" in copy.known
    assert record.untouched >= 1
    assert record.restore_seconds > 0
    assert lux.database.value("SELECT count(*) FROM perene.migrations") == 1
    assert not list(lux.work.iterdir()), "the copy is gone"
