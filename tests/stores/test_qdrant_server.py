"""What only a real Qdrant can show, 1.18: starts, ends, its files, its versions. Named by PERENE_QDRANT or on PATH; else skipped.

No package archive has one, so these run where somebody has it (docs/local.md).
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from infra.components.qdrant import settings
from perene.backup import qdrant_snapshots
from perene.backup.qdrant import Qdrant, explained, fingerprint
from perene.contract.tier import Goals, Login, SecretRef, ServiceEndpoint, Store, StoreBackup
from perene.custody.certificates import make_authority, make_server
from perene.drill.daemon import daemon
from perene.errors import PereneError
from perene.health.services import probe
from perene.health.verdict import State
from perene.restore import compare
from tests.infra.test_store_starts import pod
from tests.stores.test_qdrant import filled, spoiled, upload, vector

pytestmark = pytest.mark.skipif(qdrant_snapshots.program() is None, reason="no qdrant on PATH or in PERENE_QDRANT")
APP = Path(__file__).parents[2] / "examples" / "vectors" / "app.py"
COLLECTIONS = {"documents": {"size": 8, "distance": "Cosine"}, "images": {"size": 4, "distance": "Dot"}}


def program() -> str:
    found = qdrant_snapshots.program()
    assert found
    return found


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(
    place: Path, *words: str, prefix: tuple[str, ...] = (), kill: bool = True
) -> Iterator[tuple[Qdrant, "subprocess.Popen[bytes]"]]:
    """A server on `place`/storage. PereneError with its words when it does not start."""
    place.mkdir(exist_ok=True)
    with ExitStack() as stack:
        log = place.parent / f"{place.name}-{len(list(place.parent.iterdir()))}"
        log.mkdir()
        port = free()
        server = Qdrant(url=f"http://127.0.0.1:{port}")
        env = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(port),
            "QDRANT__SERVICE__GRPC_PORT": str(free()),
            "QDRANT__STORAGE__STORAGE_PATH": str(place / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(place / "snapshots"),
            "QDRANT__TELEMETRY_DISABLED": "true",
        }

        def ready() -> bool:
            try:
                return requests.get(f"{server.url}/readyz", timeout=1).ok
            except requests.RequestException:
                return False

        command = [*prefix, program(), *words]
        yield server, stack.enter_context(daemon(command, what="starting Qdrant", folder=log, ready=ready, env=env, kill=kill))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with collections, written and left in order; never started itself again. Beside it a snapshot of everything."""
    place = tmp_path_factory.mktemp("qdrant") / "data"
    with running(place, kill=False) as (server, _):
        filled(server)
        name = server.ask("POST", "/snapshots?wait=true")["name"]
        server.download(f"/snapshots/{name}", place.parent / "everything")
    return place


@pytest.fixture
def data(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "data"))


def refused_start(place: Path, *words: str, prefix: tuple[str, ...] = ()) -> str:
    """What a start that fails says."""
    with pytest.raises(PereneError) as refused, running(place, *words, prefix=prefix):
        pass
    return str(refused.value)


def vectors_of(place: Path) -> Path:
    wanted = struct.pack("<4f", *vector(350))
    return next(file for file in (place / "storage").rglob("*.mmap") if file.is_file() and wanted in file.read_bytes())


def test_what_the_component_writes_starts_over_tls_with_two_keys(tmp_path: Path) -> None:
    qdrant = pod("qdrant", tmp_path, VERSION="1.18")
    authority = make_authority("test")
    made = make_server(authority, ("vectors-g1.x.svc", "localhost"))
    (tmp_path / "secrets" / "tls").mkdir()
    for name, content in {"ca.crt": authority.certificate, "tls.crt": made.certificate, "tls.key": made.key}.items():
        (tmp_path / "secrets" / "tls" / name).write_bytes(content)
    (tmp_path / "config" / "config.yaml").write_text(settings("vectors"))
    assert qdrant.prepare().returncode == 0
    written = (tmp_path / "run" / "config.yaml").read_text()
    written = written.replace("/stores/vectors", str(qdrant.volume)).replace("/etc/perene/secrets", str(tmp_path / "secrets"))
    chosen = yaml.safe_load(written)
    chosen["service"] |= {"host": "127.0.0.1", "http_port": free(), "grpc_port": free()}
    config = tmp_path / "run" / "config.yaml"
    config.write_text(yaml.safe_dump(chosen))
    url, ca = f"https://localhost:{chosen['service']['http_port']}", tmp_path / "secrets" / "tls" / "ca.crt"
    admin, reader, nobody = (Qdrant(url=url, key=key, ca=ca) for key in ("admin-secret", "readonly-secret", None))

    def ready() -> bool:
        try:
            return requests.get(f"{url}/readyz", verify=str(ca), timeout=1).ok
        except requests.RequestException:
            return False

    command = [program(), "--config-path", str(config)]
    env = {"QDRANT_INIT_FILE_PATH": str(tmp_path / "run" / "initialized")}
    with daemon(command, what="starting Qdrant", folder=tmp_path / "run", ready=ready, env=env):
        filled(admin)
        assert reader.collections() == ["photos", "texts ü%"]
        for who, what in ((reader, ("DELETE", "/collections/photos")), (nobody, ("GET", "/collections"))):
            with pytest.raises(PereneError):
                who.ask(*what)
        assert len(list(admin.points("photos"))) == 700
        ref = SecretRef(vault="kubernetes", scope="x", name="ca", key="ca.crt")
        login = Login(user="readonly", password=SecretRef(vault="kubernetes", scope="x", name="login", key="password"))
        endpoint = ServiceEndpoint(protocol="http", host="vectors-g1.x.svc", port=chosen["service"]["http_port"], ca=ref)
        store = Store(
            kind="qdrant",
            generation=1,
            version="1.18",
            endpoint=endpoint,
            logins={"readonly": login},
            backup=StoreBackup(ways=("logical",)),
            goals=Goals(rpo="1d", rto="1h"),
            guarded=False,
        )
        answers = {"ca": authority.certificate, "login": b"readonly-secret"}
        told = list(probe("vectors", store, lambda ref: answers[ref.name], "dev", address="127.0.0.1"))
        assert {finding.check: finding.state for finding in told} == dict.fromkeys(("reachable", "ready", "collections"), State.FINE)
    assert (qdrant.data / "storage" / "raft_state.json").exists(), "what tells an emptied volume from a new one"
    assert qdrant.prepare().returncode == 0


def test_a_second_server_on_the_same_storage_ends_and_the_first_goes_on(data: Path) -> None:
    with running(data) as (first, _):
        assert explained(refused_start(data))[0].startswith("another server has the storage open")
        assert len(list(first.points("photos"))) == 700


@pytest.mark.skipif(os.getuid() != 0, reason="only root has files that another user cannot write")
def test_a_storage_that_cannot_be_written_says_so(data: Path) -> None:
    for folder in (data, *data.parents[:3]):
        folder.chmod(0o755)
    words = refused_start(data, prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    assert "read-only or has another owner" in explained(words)[0]


def test_changed_bytes_of_a_stopped_server_start_green_and_only_the_fingerprint_shows_them(data: Path) -> None:
    with running(data) as (server, _):
        before = fingerprint(server)
    file = vectors_of(data)
    file.write_bytes(spoiled(file.read_bytes()))
    with running(data) as (server, _):
        assert server.ask("GET", "/collections/photos")["status"] == "green"
        assert [difference.where for difference in compare.items(before, fingerprint(server))] == ["store: points of photos"]


def test_a_missing_file_panics_at_the_start_or_at_the_first_read(data: Path) -> None:
    vectors = vectors_of(data)
    kept = vectors.rename(vectors.with_suffix(".away"))
    with running(data) as (server, _):
        assert server.ask("GET", "/collections/photos")["points_count"] == 700, "nothing but reading shows it"
        with pytest.raises(PereneError, match="panicked") as refused:
            list(server.points("photos"))
        assert "missing or damaged" in str(refused.value)
    kept.rename(vectors)
    (data / "storage" / "collections" / "photos" / "version.info").unlink()
    assert "Panic occurred" in refused_start(data)


def test_a_broken_off_restore_of_everything_starts_empty_unless_the_component_looks(stopped: Path, tmp_path: Path) -> None:
    whole, cut, new = stopped.parent / "everything", tmp_path / "cut", tmp_path / "volume" / "data"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    qdrant = pod("qdrant", tmp_path, VERSION="1.18")
    (tmp_path / "config" / "config.yaml").write_text(settings("vectors"))
    assert qdrant.prepare().returncode == 0
    assert "snapshots_recovery_tmp" in refused_start(new, "--storage-snapshot", str(cut))
    qdrant.refused("a restore that was broken off, and no collection")
    words = refused_start(new, "--storage-snapshot", str(whole))
    assert "a restore of all was broken off" in explained(words)[0]
    with running(new) as (server, _):
        assert server.collections() == [], "ready, and empty"
    shutil.rmtree(new / "storage" / "snapshots_recovery_tmp")
    with running(new, "--storage-snapshot", str(whole)) as (server, _):
        assert server.collections() == ["photos", "texts ü%"]
        assert server.aliases() == {"live": "photos"}, "here aliases come along"
    assert "Use --force-snapshot" in refused_start(new, "--storage-snapshot", str(whole))
    assert (new / "storage" / "snapshots_recovery_tmp").exists()
    with running(new) as (server, _):
        assert len(list(server.points("photos"))) == 700, "a plain start does not mind what is left"
    assert qdrant.prepare().returncode == 0
    assert not (new / "storage" / "snapshots_recovery_tmp").exists()


def test_the_server_knows_versions_of_files_only_so_the_set_says_which_minor_version(data: Path, tmp_path: Path) -> None:
    with running(data) as (server, _):
        qdrant_snapshots.take(server, "photos", tmp_path / "photos")
        content = (tmp_path / "photos").read_bytes()
        collection = (data / "storage" / "collections" / "photos" / "version.info").read_bytes()
        segment = next((data / "storage" / "collections" / "photos").rglob("segments/*/version.info")).read_bytes()
        assert collection != segment, "neither is the server's own version"
        upload(server, "newer", content.replace(collection, b"9" + collection[1:]))
        assert len(list(server.points("newer"))) == 700, "the version of a collection is not looked at"
        with pytest.raises(PereneError, match="a newer Qdrant made the snapshot"):
            upload(server, "refused", content.replace(segment, b"9" + segment[1:]))
        with pytest.raises(PereneError, match="what a refused restore left"):
            server.ask("POST", "/collections/refused/points/count", json={"exact": True})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_acknowledged_is_lost_when_it_is_stopped_while_it_is_written(how: signal.Signals, tmp_path: Path) -> None:
    log, place = tmp_path / "acknowledged", tmp_path / "data"
    wanted = ("--collections", json.dumps(COLLECTIONS), "--log", str(log))
    with running(place) as (server, qdrant):
        subprocess.run([sys.executable, APP, "setup", "--url", server.url, *wanted], check=True)
        writer = subprocess.Popen([sys.executable, APP, "write", "--url", server.url, *wanted, "--points", "0"])
        try:
            while not log.exists() or log.read_bytes().count(b"\n") < 20:
                assert writer.poll() is None
                time.sleep(0.02)
            before = log.read_bytes().count(b"\n")
            qdrant.send_signal(how)  # a client that never pauses holds SIGTERM for 30 s, and is acknowledged until then
            qdrant.wait(80)
            after = log.read_bytes().count(b"\n")
        finally:
            writer.kill()
            writer.wait()
    assert qdrant.returncode == (0 if how == signal.SIGTERM else -how)
    assert how == signal.SIGKILL or after > before, "it goes on taking writes, so a pod is taken out of its Service first"
    with running(place) as (server, _):
        verify = [sys.executable, APP, "verify", "--url", server.url, "--log", log]
        found = json.loads(subprocess.run(verify, capture_output=True, check=False).stdout)
    assert found["acknowledged"] >= 2000
    assert found["lost"] == 0
