"""One run, one recovery set: whole or not there at all."""

import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perene.audit.operation import record
from perene.backup import files, keep, lock, sets
from perene.backup.places import Directory
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import DRIVERS, Job, make_set
from perene.cli.audit import app as audit
from perene.contract.recovery_set import FilesContent, StoreSet
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.sources import repository as reader
from tests.backup.tiers import tier


def quiet() -> Stages:
    return Stages(io.StringIO(), live=False)


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """A tree with odd names, links, holes and empty things."""
    root = tmp_path / "uploads"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a b\n%ü").write_text("odd name")
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf8-\xff\xfe")).write_bytes(b"bytes")
    (root / "deep" / "er" / "link").symlink_to("../../a b\n%ü")
    (root / "deep" / "dangling").symlink_to("nowhere")
    with (root / "sparse").open("wb") as file:
        file.truncate(50 << 20)
        file.seek(30 << 20)
        file.write(b"in the middle")
    (root / "secret").write_bytes(b"x")
    (root / "secret").chmod(0o600)
    return root


def test_a_set_over_files_holds_a_manifest_that_names_every_entry(repository: Repository, uploads: Path) -> None:
    made = make_set(tier(repository.url, files=uploads), repository, stages=quiet(), with_canary=False)
    content = made.stores["uploads"].content
    assert isinstance(content, FilesContent)
    assert content.entries == 9
    assert content.bytes == (50 << 20) + len("odd name") + len("bytes") + 1
    assert [one.id for one in sets.on_hand(repository.snapshots())] == [made.id]
    assert sets.load(repository, "newest") == made, "the manifest reads back as it was written"


def test_files_that_are_written_while_they_are_read_are_reported_by_name(
    repository: Repository, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Repository.backup_tree

    def meddle(self: Repository, *args: object, **words: object) -> object:
        (uploads / "secret").write_bytes(b"changed meanwhile")
        return original(self, *args, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(Repository, "backup_tree", meddle)
    log = io.StringIO()
    made = make_set(tier(repository.url, files=uploads), repository, stages=Stages(log, live=False), with_canary=False)
    content = made.stores["uploads"].content
    assert isinstance(content, FilesContent)
    assert content.changed == ("secret",)
    assert "secret was written while it was read" in log.getvalue(), "a person is told"


def test_a_failed_store_fails_the_set_loudly_and_leaves_earlier_sets_alone(repository: Repository, uploads: Path) -> None:
    first = make_set(tier(repository.url, files=uploads), repository, stages=quiet(), with_canary=False)

    def breaks(job: Job) -> StoreSet:
        raise PereneError("the disk is on fire", where="sda")

    with pytest.raises(PereneError, match=r"store uploads, sda: the disk is on fire"):
        make_set(tier(repository.url, files=uploads), repository, stages=quiet(), drivers={"files": breaks}, with_canary=False)
    assert [one.id for one in sets.on_hand(repository.snapshots())] == [first.id]


def test_a_dump_that_fails_half_way_leaves_no_snapshot_and_no_set(repository: Repository) -> None:
    with pytest.raises(PereneError, match="restic backup"):
        repository.backup_command(["sh", "-c", "head -c 3000000 /dev/urandom; exit 1"], path="/x", tags={"set": "s"})
    assert repository.snapshots() == [], "pg_dump's failure must not look like a short dump"


def test_two_writers_at_once_are_refused_and_a_dead_ones_lock_heals_itself(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    log = io.StringIO()
    with (
        lock.writer(place, "backup", quiet()),
        pytest.raises(PereneError, match="another backup is writing") as refused,
        lock.writer(place, "retention", quiet()),
    ):
        pass
    assert refused.value.exit_code == ExitCode.CANNOT_TELL
    dead = {"purpose": "backup", "host": "elsewhere", "boot": "b", "process": 1, "start": "1", "run": "r", "beat": 5}
    place.create(lock.NAME, io.BytesIO(json.dumps(dead).encode()))
    with lock.writer(place, "backup", Stages(log, live=False), beat=0.05):
        assert json.loads(place.read(lock.NAME) or b"")["purpose"] == "backup"
    assert "lock of a dead backup on elsewhere" in log.getvalue(), "healing is reported"
    assert place.read(lock.NAME) is None


def test_restic_does_not_mind_the_writers_lock_in_its_repository(repository: Repository, uploads: Path) -> None:
    with lock.writer(Directory(Path(repository.url)), "backup", quiet()):
        repository.backup_tree(uploads, tags={"set": "x"})
        repository.unlock()
        repository.check()


def test_an_unreadable_repository_is_an_error_and_never_an_empty_list(repository: Repository, tmp_path: Path) -> None:
    wrong = Repository(url=repository.url, password=lambda: b"wrong", host="test")
    with pytest.raises(PereneError, match="password does not open"):
        wrong.snapshots()
    absent = Repository(url=str(tmp_path / "nowhere"), password=lambda: b"x", host="test")
    with pytest.raises(PereneError, match="there is no repository"):
        absent.snapshots()


def test_a_corrupted_pack_is_found(repository: Repository, uploads: Path) -> None:
    snapshot = repository.backup_bytes(os.urandom(100_000), path="/random", tags={"set": "x"})
    pack = max((path for path in Path(repository.url, "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(5000)
        file.write(b"\0" * 100)
    with pytest.raises(PereneError, match="restic check"):
        repository.check("100%")
    with pytest.raises(PereneError, match="restic dump"):
        repository.read(snapshot)


def test_retention_removes_the_remains_of_dead_runs_and_keeps_whole_sets(repository: Repository, uploads: Path) -> None:
    document = tier(repository.url, files=uploads)
    made = make_set(document, repository, stages=quiet(), with_canary=False)
    repository.backup_bytes(b"half", path="/main.db.dump", tags={"set": "20260101T000000Z-000000", "store": "main"})
    log = io.StringIO()
    keep.apply(document, repository, now=datetime.now(UTC), dry_run=False, stages=Stages(log, live=False))
    assert {snapshot.tags["set"] for snapshot in repository.snapshots()} == {made.id}
    assert "remains of the unfinished set 20260101T000000Z-000000" in log.getvalue()


def test_a_set_over_postgres_carries_a_canary_and_the_tier(server: Server, repository: Repository) -> None:
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE empty_one")
    made = make_set(tier(repository.url, server=server, databases=("empty_one",)), repository, stages=quiet())
    assert made.canary is not None
    assert made.canary.parts[0].bytes < 50_000_000, "a canary stays small"
    assert made.tier.stores["main"].databases == {"empty_one": ("public",)}
    assert list(DRIVERS) == ["rabbitmq", "redis", "postgres", "cloud-sql", "qdrant", "files"], "what refers comes before what it refers to"


def test_a_clock_that_jumps_never_makes_the_newest_set_look_old(repository: Repository, uploads: Path) -> None:
    document, right = tier(repository.url, files=uploads), datetime(2026, 11, 26, 4, tzinfo=UTC)
    made = {}
    log = io.StringIO()
    for name, now in {"right": right, "a year back": right - timedelta(days=365), "a year ahead": right + timedelta(days=365)}.items():
        made[name] = make_set(document, repository, stages=Stages(log, live=False), now=now, with_canary=False)
        assert [one.id for one in sets.on_hand(repository.snapshots())] == [one.id for one in made.values()], "the last made is the newest"
    assert made["a year back"].started.startswith("2025-11-26"), "what the clock said stays on record"
    assert "the clock says 2025-11-26" in log.getvalue()
    for now in (right - timedelta(days=365), right, right + timedelta(days=380)):
        plan = keep.apply(document, repository, now=now, dry_run=False, stages=quiet())
        assert not plan.remove, f"nothing goes at {now}"
    assert len(sets.on_hand(repository.snapshots())) == 3


def test_a_set_anchors_the_audit_and_a_forged_copy_of_its_manifest_does_not_help(
    repository: Repository, uploads: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = tier(repository.url, files=uploads)
    monkeypatch.setattr("perene.audit.anchors.open_repository", lambda *_, **__: repository)
    monkeypatch.setenv("PERENE_WRITER", "perene-backup")
    with record("restore", document), record("backup", document):
        made = make_set(document, repository, stages=quiet(), with_canary=False)
    assert [(head.writer, head.sequence) for head in made.audit] == [("perene-backup", 2)]
    file = tmp_path / "tier.json"
    file.write_text(document.to_json())

    def verdict(*words: str) -> int:
        return CliRunner().invoke(audit, ["verify", repository.url, f"--tier={file}", *words]).exit_code

    lines, copy = Path(repository.url, "audit/perene-backup"), Path(repository.url, f"evidence/sets/{made.id}.json")
    assert verdict() == verdict("--password") == ExitCode.DONE
    for number in (2, 3, 4):
        (lines / f"{number:08d}.json").unlink()
    assert verdict() == ExitCode.NOT_PROVEN, "what was cut off is missed"
    copy.write_text(made.model_copy(update={"audit": ()}).to_json())
    assert verdict() == ExitCode.DONE, "a copy beside the repository can be forged"
    assert verdict("--password") == ExitCode.NOT_PROVEN, "the manifest inside cannot"
    sealed = tmp_path / "manifest-from-the-sealed-copy.json"
    sealed.write_text(made.to_json())
    assert verdict(f"--anchor={sealed}") == ExitCode.NOT_PROVEN


def test_whoever_watches_sees_a_real_set_a_held_lock_and_what_retention_removed(repository: Repository, uploads: Path) -> None:
    document, watch = tier(repository.url, files=uploads), reader()
    first = make_set(document, repository, stages=quiet(), with_canary=False, now=datetime(2026, 10, 1, tzinfo=UTC))
    with lock.writer(Directory(Path(repository.url)), "backup", quiet()):
        seen = watch(document)
        assert not seen.problem
        assert [(one.id, one.stores, one.on_hand) for one in seen.sets] == [(first.id, ("uploads",), True)]
        assert seen.sets[0].bytes == first.bytes
        assert watch(document).lock_age > 0
    newer = [make_set(document, repository, stages=quiet(), with_canary=False) for _ in range(2)]
    keep.make_room(document, repository, 5, dry_run=False, stages=quiet())
    seen = watch(document)
    assert {one.id for one in seen.on_hand} == {one.id for one in newer}
    assert {one.id for one in seen.sets} == {first.id, *(one.id for one in newer)}, "the calendar goes on showing that it was made"
    assert seen.lock_age == 0


def test_the_directory_of_a_running_postgres_is_no_tree_of_files(server: Server, repository: Repository) -> None:
    with pytest.raises(PereneError, match="directory of a running PostgreSQL") as refused:
        files.backup(Path(server.host), repository=repository, set_id="x", store="uploads", stages=quiet())
    assert "store of kind postgres" in str(refused.value)
    assert not repository.snapshots()
