"""Qdrant over its REST interface: a real server where one is on PATH or in PERENE_QDRANT, else the double of its contract."""

import io
import ssl
import struct
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from perene.backup import qdrant_snapshots as snapshots
from perene.backup.progress import Stages
from perene.backup.qdrant import MEANINGS, Qdrant, explained, fingerprint
from perene.backup.repository import Repository
from perene.contract.recovery_set import ItemsContent, StoreSet
from perene.custody.certificates import make_authority, make_server
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare
from tests.doubles.qdrant import Handler, State


@pytest.fixture
def server(qdrant_program: str, tmp_path: Path) -> Iterator[Qdrant]:
    with snapshots.scratch(tmp_path) as running:
        yield running


def vector(number: int) -> list[float]:
    return [number / 7, -number, 0.25, 1.0]


def filled(server: Qdrant) -> Qdrant:
    for name, count in (("photos", 700), ("texts ü%", 3)):
        path = f"/collections/{quote(name, safe='')}"
        server.ask("PUT", path, json={"vectors": {"size": 4, "distance": "Dot"}})
        points = [{"id": i, "vector": vector(i), "payload": {"photo": i, "tags": ["a"]}} for i in range(1, count + 1)]
        server.ask("PUT", f"{path}/points?wait=true", json={"points": points})
    server.ask("POST", "/collections/aliases", json={"actions": [{"create_alias": {"collection_name": "photos", "alias_name": "live"}}]})
    return server


def backed_up(server: Qdrant, repository: Repository) -> StoreSet:
    return snapshots.backup(server, repository=repository, set_id="one", store="vectors", stages=Stages(io.StringIO(), live=False))


def fetched(made: StoreSet, repository: Repository, folder: Path) -> dict[str, Path]:
    files = {part.name: folder / f"{number}.part" for number, part in enumerate(made.parts)}
    for part in made.parts:
        repository.fetch(repository.find(part.path, set="one", store="vectors"), files[part.name])
    return files


def test_collections_and_aliases_come_back_the_same(server: Qdrant, repository: Repository, tmp_path: Path) -> None:
    filled(server)
    made = backed_up(server, repository)
    assert isinstance(made.content, ItemsContent)
    assert {name: count.rows for name, count in made.content.items.items()} == {
        "points of photos": 700,
        "points of texts ü%": 3,
        "collection photos": 1,
        "collection texts ü%": 1,
        "alias live": 1,
    }
    assert server.ask("GET", "/collections/photos/snapshots") == [], "nothing is left on the server"
    assert not made.warnings
    files = fetched(made, repository, tmp_path)
    with snapshots.scratch(tmp_path) as other:
        snapshots.writable(other)
        snapshots.put(other, snapshots.Snapshots.of_parts(files))
        assert compare.items(made.content, fingerprint(other)) == ()
        assert other.aliases() == {"live": "photos"}, "aliases are in no snapshot of a collection"
        with pytest.raises(PereneError, match="exist already"):
            snapshots.put(other, snapshots.Snapshots.of_parts(files))


def test_flipped_bytes_are_refused_because_the_checksum_always_goes_along(server: Qdrant, tmp_path: Path) -> None:
    filled(server)
    checksum = snapshots.take(server, "photos", tmp_path / "photos")
    content = bytearray((tmp_path / "photos").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped").write_bytes(content)
    server.ask("DELETE", "/collections/photos")
    with pytest.raises(PereneError, match="is not the one that was made"):
        snapshots.put(server, snapshots.Snapshots({"photos": tmp_path / "flipped"}, {"photos": checksum}, {}))
    with pytest.raises(PereneError, match="no checksum for photos"):
        snapshots.put(server, snapshots.Snapshots({"photos": tmp_path / "flipped"}, {}, {}))
    snapshots.put(server, snapshots.Snapshots({"photos": tmp_path / "photos"}, {"photos": checksum}, {}))
    assert fingerprint(server).items["points of photos"].rows == 700


def spoiled(content: bytes) -> bytes:
    """Point 350's vector with one bit changed: 50 becomes 34."""
    at = content.index(struct.pack("<4f", *vector(350)))
    return content[: at + 2] + bytes([content[at + 2] ^ 0x40]) + content[at + 3 :]


def upload(server: Qdrant, name: str, content: bytes, checksum: str = "") -> None:
    """As `put` never does: over whatever is there, and with a checksum only when one is given."""
    words = {"priority": "snapshot", "wait": "true", **({"checksum": checksum} if checksum else {})}
    server.ask("POST", f"/collections/{name}/snapshots/upload", params=words, files={"snapshot": ("s.snapshot", content)})


def test_without_the_checksum_wrong_data_is_green_and_only_the_fingerprint_shows_it(server: Qdrant, tmp_path: Path) -> None:
    filled(server)
    checksum, before = snapshots.take(server, "photos", tmp_path / "photos"), fingerprint(server)
    wrong = spoiled((tmp_path / "photos").read_bytes())
    with pytest.raises(PereneError, match="Checksum mismatch"):
        upload(server, "photos", wrong, checksum)
    assert fingerprint(server) == before
    upload(server, "photos", wrong)
    found = fingerprint(server)
    assert found.items["points of photos"].rows == 700, "an upload writes over what is there without a word"
    assert [difference.where for difference in compare.items(before, found)] == ["store: points of photos"]
    point = next(point for point in server.points("photos") if point["id"] == 350)
    assert point["vector"] == [34.0, -350.0, 0.25, 1.0]


def test_without_the_checksum_a_cut_tail_is_taken_and_what_is_no_archive_is_not(server: Qdrant, tmp_path: Path) -> None:
    filled(server)
    whole = tmp_path / "photos"
    checksum, content = snapshots.take(server, "photos", whole), whole.read_bytes()
    upload(server, "tail", content[:-9])
    with pytest.raises(PereneError, match="is not the one that was made"):
        upload(server, "tail-2", content[:-9], checksum)
    for number, bad in enumerate((content[: len(content) // 2], b"x" * 4096, b"")):
        with pytest.raises(PereneError, match="no snapshot of a collection, or is cut off"):
            upload(server, f"bad-{number}", bad)
    assert server.collections() == ["photos", "tail", "texts ü%"], "a refused file leaves no collection"


def test_a_snapshot_of_all_removes_that_of_a_collection_from_the_same_second(server: Qdrant) -> None:
    filled(server)
    for _ in range(20):
        made = server.ask("POST", "/collections/photos/snapshots?wait=true")["name"]
        everything = server.ask("POST", "/snapshots?wait=true")["name"]
        left = [one["name"] for one in server.ask("GET", "/collections/photos/snapshots")]
        if made[-28:] == everything[-28:]:  # -YYYY-MM-DD-HH-MM-SS.snapshot
            assert made not in left
            return
    pytest.fail("never two in the same second")


def test_a_deleted_collection_takes_its_alias_along_and_its_snapshot_brings_none_back(server: Qdrant, tmp_path: Path) -> None:
    filled(server)
    checksum = snapshots.take(server, "photos", tmp_path / "photos")
    server.ask("DELETE", "/collections/photos")
    assert server.aliases() == {}
    snapshots.put(server, snapshots.Snapshots({"photos": tmp_path / "photos"}, {"photos": checksum}, {}))
    assert server.aliases() == {}


def test_no_collection_can_be_called_like_a_part_of_our_own(server: Qdrant) -> None:
    for letter in '<>:"/\\|?*':
        with pytest.raises(PereneError, match="cannot contain"):
            server.ask("PUT", f"/collections/{quote(f'a{letter}b', safe='')}", json={"vectors": {"size": 4, "distance": "Dot"}})
    assert ":" in snapshots.INDEX


def test_a_snapshot_has_everything_that_was_acknowledged_before_it_was_asked_for(server: Qdrant, tmp_path: Path) -> None:
    filled(server)
    acknowledged, enough = [700], threading.Event()

    def write() -> None:
        while not enough.is_set():
            number = acknowledged[0] + 1
            server.ask("PUT", "/collections/photos/points?wait=true", json={"points": [{"id": number, "vector": vector(number)}]})
            acknowledged[0] = number

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(2):
            least = acknowledged[0]
            checksum = snapshots.take(server, "photos", tmp_path / f"{number}")
            taken = snapshots.Snapshots({"photos": tmp_path / f"{number}"}, {"photos": checksum}, {})
            with snapshots.scratch(tmp_path) as other:
                snapshots.put(other, taken)
                assert fingerprint(other).items["points of photos"].rows >= least
    finally:
        enough.set()
        writer.join()


def test_without_a_program_what_is_written_meanwhile_can_never_be_called_proven(
    server: Qdrant, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(server)
    monkeypatch.setattr(snapshots, "program", lambda: None)
    steady = backed_up(server, repository)
    assert not steady.warnings
    count = iter(range(100))

    def busy(live: Qdrant) -> ItemsContent:
        live.ask("PUT", "/collections/photos/points?wait=true", json={"points": [{"id": 9000 + next(count), "vector": [1.0, 2, 3, 4]}]})
        return fingerprint(live)

    monkeypatch.setattr(snapshots, "fingerprint", busy)
    unsteady = backed_up(server, repository)
    assert any("points of photos was written while it was read" in warning for warning in unsteady.warnings)
    assert isinstance(unsteady.content, ItemsContent)
    assert compare.items(unsteady.content, fingerprint(server)), "no restore equals it"
    with pytest.raises(PereneError, match="no qdrant program is here") as refused, snapshots.scratch(Path("/tmp")):
        pass
    assert refused.value.exit_code == ExitCode.CANNOT_TELL


def test_every_question_goes_over_tls_that_is_verified(tmp_path: Path) -> None:
    authority = make_authority("test")
    made = make_server(authority, ("localhost",))
    for name, content in {"ca": authority.certificate, "crt": made.certificate, "key": made.key}.items():
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as double:
        double.socket = context.wrap_socket(double.socket, server_side=True)
        threading.Thread(target=double.serve_forever, args=(0.01,), daemon=True).start()
        server = Qdrant(url=f"https://localhost:{double.server_address[1]}", ca=tmp_path / "ca")
        server.ask("PUT", "/collections/photos", json={"vectors": {"size": 4, "distance": "Dot"}})
        assert len(snapshots.take(server, "photos", tmp_path / "photos")) == 64
        with pytest.raises(PereneError, match="cannot be reached"):
            Qdrant(url=server.url).version()
        double.shutdown()
    State.collections.clear()


@pytest.mark.parametrize(
    ("recorded", "running", "taken"),
    [
        ("1.18.3", "1.18.0", True),
        ("1.18.3", "1.19.1", True),
        ("1.18.3", "1.17.9", False),
        ("1.18.3", "1.20.0", False),
        ("1.18.3", "2.18.3", False),
    ],
)
def test_a_snapshot_is_read_by_its_own_minor_version_or_the_next(recorded: str, running: str, taken: bool) -> None:
    if taken:
        snapshots.same_or_next_minor(recorded, running)
        return
    with pytest.raises(PereneError, match=r"1\.18 or 1\.19"):
        snapshots.same_or_next_minor(recorded, running)


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ("Service internal error: Wal error: Can't init WAL: Kind(WouldBlock)", "another server has the storage open"),
        ("Checksum mismatch: expected 3ce2a2, actual cc064c", "not the one that was made"),
        ("Permission denied (os error 13)", "read-only"),
        ("No space left on device: WAL buffer size exceeds available disk space", "disk is full"),
        ("Service internal error: File IO error: Malformed tar archive, reached unknown entry", "no snapshot of a collection"),
        ("Service internal error: Data version 0.6.1 is newer than application version 0.6.0.", "a newer Qdrant"),
        ("Service internal error: Segment version(0.1.0) is not compatible with current version(0.6.0)", "a much older Qdrant"),
        ("read operations failed: Failed to count,  Failed to restore local replica", "a refused restore left"),
        ('Service internal error: task 28 panicked with message "Vector not found"', "missing or damaged"),
        ("Service internal error: inconsistent state", "cannot read"),
    ],
)
def test_corrupted_is_explained(words: str, means: str) -> None:
    why, fix = explained(words)
    assert means in why
    assert fix


def test_every_meaning_says_what_to_do() -> None:
    assert all(why and fix for _, why, fix in MEANINGS)
    assert explained("all is well") == ("", "")
