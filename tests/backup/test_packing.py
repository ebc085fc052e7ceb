"""A dump is packed on its way into the repository: what fails leaves nothing, what comes back is what went in, what stayed is found."""

import os
import subprocess
from pathlib import Path

import pytest

from perene.backup import packer, packing
from perene.backup.arriving import arrived
from perene.backup.repository import Repository
from perene.errors import PereneError

PATH = f"/main.db.dump{packing.SUFFIX}"


def stored(repository: Repository, *command: str) -> int:
    return repository.backup_packed(command, path=PATH, tags={"set": "one"}).size


def size(repository: Repository) -> int:
    return sum(path.stat().st_size for path in (Path(repository.url) / "data").rglob("*") if path.is_file())


def test_what_was_packed_comes_back_and_its_size_is_that_before_it_was_packed(repository: Repository, tmp_path: Path) -> None:
    content = b"much the same, again and again. " * 100_000
    (tmp_path / "in").write_bytes(content)
    assert stored(repository, "cat", str(tmp_path / "in")) == len(content)
    assert size(repository) < len(content) // 100
    assert repository.fetch(repository.find(PATH, set="one"), tmp_path / "out") == len(content)
    assert (tmp_path / "out").read_bytes() == content
    assert stored(repository, "true") == 0, "nothing at all is a content too"


def test_progress_is_told_in_bytes_of_what_is_backed_up_not_of_what_is_stored(repository: Repository) -> None:
    told: list[int] = []
    command = ("sh", "-c", "head -c 50000000 /dev/zero; sleep 1.5")
    repository.backup_packed(command, path=PATH, tags={"set": "one"}, progress=told.append)
    assert told
    assert told == sorted(told)
    assert told[-1] == 50_000_000


def test_a_set_from_before_dumps_were_packed_comes_back_as_it_is(repository: Repository, tmp_path: Path) -> None:
    repository.backup_bytes(b"PGDMP as it was", path="/main.db.dump", tags={"set": "one"})
    repository.fetch(repository.find("/main.db.dump", set="one"), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"PGDMP as it was"


def test_a_command_that_fails_leaves_no_snapshot_and_no_lock(repository: Repository) -> None:
    with pytest.raises(PereneError, match=r"(?s)why it fails.*sh ended with 3"):
        stored(repository, "sh", "-c", "echo why it fails >&2; head -c 3000000 /dev/urandom; exit 3")
    nothing_left(repository)


@pytest.mark.parametrize("script", ["head -c 1000000; exit 1", "head -c 1000000 | cat; kill -9 $$", "head -c 1000"])
def test_a_packer_that_fails_leaves_no_snapshot_and_no_lock(
    repository: Repository, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zstd").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "zstd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(PereneError, match=r"zstd (ended with|did not read everything)"):
        stored(repository, "sh", "-c", "head -c 3000000 /dev/urandom; exit 0")
    nothing_left(repository)


def test_a_repository_that_does_not_open_ends_the_command_too(repository: Repository) -> None:
    wrong = Repository(url=repository.url, password=lambda: b"wrong", host="test")
    with pytest.raises(PereneError, match="password does not open"):
        stored(wrong, "sh", "-c", "while head -c 100000 /dev/zero; do :; done")


def test_what_does_not_unpack_is_an_error(repository: Repository, tmp_path: Path) -> None:
    packed = subprocess.run(packer.PACK, input=b"x" * 1000, capture_output=True, check=True).stdout
    repository.backup_bytes(packed[:-3], path=PATH, tags={"set": "one"})
    with pytest.raises(PereneError, match="unpacking what was backed up"):
        repository.fetch(repository.find(PATH, set="one"), tmp_path / "out")


def test_a_file_system_without_room_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(50_000))
    with pytest.raises(PereneError, match="No space left"), arrived(tmp_path / "in") as whole, Path("/dev/full").open("wb") as full:
        whole.save(full)


def test_of_a_content_that_was_moved_and_changed_in_one_place_little_is_stored_again(repository: Repository, tmp_path: Path) -> None:
    first = os.urandom(40_000_000).hex().encode()
    second = b"".join([b"something before all the rest\n", first[:30_000_000], b"changed\n", first[30_100_000:]])
    (tmp_path / "in").write_bytes(first)
    stored(repository, "cat", str(tmp_path / "in"))
    before = size(repository)
    (tmp_path / "in").write_bytes(second)
    stored(repository, "cat", str(tmp_path / "in"))
    assert size(repository) - before < before / 2, "two to four pieces of about two megabytes are new"


def nothing_left(repository: Repository) -> None:
    assert repository.snapshots() == [], "a failure must not look like a short dump"
    assert list((Path(repository.url) / "locks").iterdir()) == []
