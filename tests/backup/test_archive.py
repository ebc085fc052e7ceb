"""One set as one encrypted archive: written whole or not at all, and refused before anything is written when it is not as it was."""

import io
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from perene.backup import archive, retention, sets
from perene.backup.places import Directory
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import make_set
from perene.contract.recovery_set import RecoverySet
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import run as restore
from tests.backup.tiers import tier
from tests.programs import needs

pytestmark = [needs("zstd", "age"), pytest.mark.slow]
QUIET = Stages(io.StringIO(), live=False)
NOW = "2026-11-25T00:00:00+00:00"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An operator's identity file."""
    file = tmp_path_factory.mktemp("offline") / "identity"
    made = pyrage.x25519.Identity.generate()
    file.write_text(f"# public key: {made.to_public()}\n{made}\n")
    return file


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, empty_repository: Path) -> Repository:
    """One repository for all of them."""
    return copied(empty_repository, tmp_path_factory.mktemp("kept") / "repository")


@pytest.fixture(scope="module")
def made(repository: Repository) -> RecoverySet:
    """A set over a tree with odd names, a link, a hole and a file of several pieces whose time has a fraction above a half."""
    root = Path(repository.url).with_name("uploads")
    (root / "deep").mkdir(parents=True)
    (root / "a b\n%ü").write_text("odd name")
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf8-\xff\xfe")).write_bytes(b"bytes")
    (root / "deep" / "link").symlink_to("nowhere")
    (root / "large").write_bytes(os.urandom(17 << 20))
    os.utime(root / "large", ns=(10**18 + 9 * 10**8, 10**18 + 9 * 10**8))
    with (root / "sparse").open("wb") as file:
        file.truncate(20 << 20)
    return make_set(tier(repository.url, files=root), repository, stages=QUIET, with_canary=False)


@pytest.fixture(scope="module")
def written(repository: Repository, made: RecoverySet, identity: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set as a file, once."""
    folder = tmp_path_factory.mktemp("exported")
    with archive.written(repository, made, [recipient(identity)], QUIET) as stream:
        Directory(folder).create("set.age", stream)
    return folder / "set.age"


@pytest.fixture
def exported(written: Path, tmp_path: Path) -> Path:
    """The file, for one test."""
    return Path(shutil.copy(written, tmp_path))


@pytest.fixture
def elsewhere(tmp_path: Path, empty_repository: Path) -> Repository:
    """Another cluster's repository."""
    return copied(empty_repository, tmp_path / "elsewhere")


def copied(repository: Path, to: Path) -> Repository:
    shutil.copytree(repository, to)
    return Repository(url=str(to), password=lambda: b"a password for tests", host=to.name, retry_lock="1s")


def recipient(identity: Path) -> str:
    return identity.read_text().splitlines()[0].removeprefix("# public key: ")


def brought(file: Path, identity: Path, repository: Repository) -> RecoverySet:
    return archive.import_file(file, identity, repository, work=file.parent, stages=QUIET, now=NOW)


def test_a_set_comes_back_elsewhere_and_is_imported_not_proven(
    exported: Path, identity: Path, elsewhere: Repository, made: RecoverySet, tmp_path: Path
) -> None:
    assert brought(exported, identity, elsewhere) == made
    (one,) = sets.on_hand(elsewhere.snapshots())
    assert (one.id, one.proven, one.imported) == (made.id, False, NOW)
    for restorer, job in restore.jobs(made, elsewhere, stores=made.tier.stores, work=tmp_path, stages=QUIET).values():
        assert restorer.scratch(job).differences == (), "names, links, holes and times to the second are as they were"
    with pytest.raises(PereneError, match="in the repository already"):
        brought(exported, identity, elsewhere)


def test_age_zstd_and_tar_open_it_without_perene(exported: Path, identity: Path, made: RecoverySet, tmp_path: Path) -> None:
    by_hand = tmp_path / "hand"
    by_hand.mkdir()
    subprocess.run(["sh", "-c", f"age -d -i {identity} {exported} | zstd -d | tar x -C {by_hand}"], check=True)
    assert RecoverySet.read(by_hand / "manifest.json") == made
    pieces = sorted((by_hand / "parts" / "1").glob("0*"))
    (tmp_path / "tree").mkdir()
    subprocess.run(["tar", "x", "-C", tmp_path / "tree"], input=b"".join(piece.read_bytes() for piece in pieces), check=True)
    assert (tmp_path / "tree" / "large").stat().st_size == 17 << 20
    assert (tmp_path / "tree" / "a b\n%ü").read_text() == "odd name"


def test_a_damaged_archive_is_refused_before_anything_is_written(exported: Path, identity: Path, elsewhere: Repository) -> None:
    good = exported.read_bytes()
    altered = bytearray(good)
    altered[len(good) // 2] ^= 1
    cases = {
        "no header": good[:100],
        "cut": good[: len(good) // 2],
        "without its last byte": good[:-1],
        "one bit": bytes(altered),
        "empty": b"",
    }
    for name, content in cases.items():
        exported.write_bytes(content)
        with pytest.raises(PereneError) as refused:
            brought(exported, identity, elsewhere)
        assert refused.value.exit_code == ExitCode.NOT_PROVEN, name
    exported.write_bytes(good)
    assert elsewhere.snapshots() == []
    assert not Directory(Path(elsewhere.url)).names("evidence")


def test_a_stranger_cannot_open_it_and_what_was_sealed_to_us_by_a_stranger_is_still_checked(
    exported: Path, identity: Path, elsewhere: Repository, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with pytest.raises(PereneError, match="does not open"):
        brought(exported, stranger, elsewhere)
    # Anybody can seal to a public recipient: the same set with one part's content exchanged.
    opened = subprocess.run(["sh", "-c", f"age -d -i {identity} {exported} | zstd -d"], check=True, capture_output=True).stdout
    forged = opened.replace(b"odd name", b"old game", 1)
    packed = subprocess.run(["zstd"], input=forged, capture_output=True, check=True).stdout
    exported.write_bytes(pyrage.encrypt(packed, [pyrage.x25519.Recipient.from_str(recipient(identity))]))
    with pytest.raises(PereneError, match="not what its index says"):
        brought(exported, identity, elsewhere)
    assert elsewhere.snapshots() == []


def test_an_export_that_is_killed_leaves_no_archive(repository: Repository, made: RecoverySet, identity: Path, tmp_path: Path) -> None:
    document = tmp_path / "tier.json"
    document.write_text(made.tier.to_json())
    code = (
        "import sys, perene.backup.tier as t; t.resolve = lambda ref: b'a password for tests'; "
        "from perene.cli.main import main; main(sys.argv[1:])"
    )
    target = tmp_path / "killed.age"
    words = ["export", made.id, str(target), "--tier", str(document), "--recipient", recipient(identity)]
    # At the latest moment there is: everything is written, and nothing has the name yet.
    dies = f"""import os
link = os.link
os.link = lambda made, name: os.kill(os.getpid(), {int(signal.SIGKILL)}) if str(name).endswith("killed.age") else link(made, name)
{code}"""
    killed = subprocess.run([sys.executable, "-c", dies, *words], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not target.exists()
    assert any(file.name.startswith(".") and file.stat().st_size > 17 << 20 for file in tmp_path.iterdir()), "it had written all of it"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert "brings it back" in done.stdout
    assert archive.verify(target.open("rb"), identity) == made


def test_a_repository_that_fails_half_way_leaves_no_archive(
    repository: Repository, made: RecoverySet, identity: Path, tmp_path: Path
) -> None:
    lame = copied(Path(repository.url), tmp_path / "lame")
    packs = sorted(Path(lame.url, "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    packs[-1].unlink()
    with pytest.raises(PereneError, match="restic dump"), archive.written(lame, made, [recipient(identity)], QUIET) as stream:
        Directory(tmp_path).create("half.age", stream)
    assert not (tmp_path / "half.age").exists()


def test_retention_leaves_what_somebody_imported_for_two_weeks() -> None:
    old = sets.OnHand("20200101T000000Z-000000", datetime(2020, 1, 1, tzinfo=UTC), False, (), imported=NOW)
    fresh = [sets.OnHand(f"202611{day}T010000Z-000000", datetime(2026, 11, day, 1, tzinfo=UTC), True, ()) for day in (24, 25, 26)]
    keep = {"daily": 3}
    assert retention.plan([old, *fresh], keep, datetime(2026, 11, 26, 2, tzinfo=UTC)).remove == ()
    later = [sets.OnHand("20261212T010000Z-000000", datetime(2026, 12, 12, 1, tzinfo=UTC), True, ())]
    assert old in retention.plan([old, *fresh, *later], keep, datetime(2026, 12, 12, 2, tzinfo=UTC)).remove
