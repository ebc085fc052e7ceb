"""What runs before every start of a store, with a real Redis: no volume is taken for healthy that would lose data in silence."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from infra.components.qdrant import settings
from infra.components.redis import RULES
from tests.programs import needs

STARTS = needs("redis-server", "redis-cli", "redis-check-rdb", "redis-check-aof")
FILES = Path(__file__).parents[2] / "infra" / "components" / "files"


@dataclass(frozen=True)
class Pod:
    """A store's directories as its pod would see them."""

    kind: str
    root: Path
    environment: dict[str, str]

    @property
    def volume(self) -> Path:
        return self.root / "volume"

    @property
    def data(self) -> Path:
        return self.volume / "data"

    def prepare(self, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", FILES / f"{self.kind}-prepare.sh"],
            env={**os.environ, **self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )

    def refused(self, *words: str, **more: str) -> None:
        before = listing(self.volume)
        result = self.prepare(**more)
        assert result.returncode == 1
        assert "refused: the volume" in result.stderr, result.stderr
        assert all(word in result.stderr for word in words), result.stderr
        assert listing(self.volume) == before, "a refused start changes nothing"


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def pod(kind: str, root: Path, **environment: str) -> Pod:
    for folder in ("volume", "run", "config"):
        (root / folder).mkdir()
    shutil.copy(FILES / "volume.sh", root / "config")
    (root / "mounts").write_text(f"/dev/x {root}/volume xfs rw 0 0\n")
    for user in ("admin", "app", "backup", "readonly"):
        (root / "secrets" / user).mkdir(parents=True)
        (root / "secrets" / user / "password").write_text(f"{user}-secret")
    places = {name.upper(): str(root / name) for name in ("volume", "run", "config", "secrets", "mounts")}
    return Pod(kind, root, {**places, **environment})


@pytest.fixture
def redis(tmp_path: Path) -> Pod:
    made = pod("redis", tmp_path, MODE="store", MAJOR="8")
    rules = {"admin": "admin", "app": "read-write", "readonly": "read-only", "backup": "dump"}
    (tmp_path / "config" / "users").write_text("".join(f"{user} {RULES[right]}\n" for user, right in rules.items()))
    return made


class Server:
    """A Redis on the pod's directories, as its redis.conf says."""

    def __init__(self, of: Pod) -> None:
        self.socket = of.root / "run" / "redis.sock"
        words = ["--port", "0", "--unixsocket", self.socket, "--dir", of.data, "--aclfile", of.root / "run" / "users.acl"]
        words += ["--save", "60 1", "--appendonly", "yes", "--logfile", of.root / "log"]
        self.process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        while self.ask("ping") != "PONG":
            assert self.process.poll() is None, (of.root / "log").read_text()
            time.sleep(0.02)

    def ask(self, *words: str, user: str = "admin") -> str:
        environment = {**os.environ, "REDISCLI_AUTH": f"{user}-secret"}
        call = ["redis-cli", "-s", self.socket, "--user", user, "--no-auth-warning", *words]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False).stdout.strip()

    def stop(self, how: str = "shutdown") -> None:
        if how == "kill":
            self.process.kill()
        else:
            self.ask("shutdown")
        self.process.wait(10)


def served(of: Pod, keys: int = 10) -> None:
    """A first start with some keys, ended orderly."""
    assert of.prepare().returncode == 0
    server = Server(of)
    for number in range(keys):
        assert server.ask("set", f"key:{number}", str(number)) == "OK"
    server.stop()


@STARTS
def test_a_new_volume_starts_and_a_used_one_comes_back(redis: Pod) -> None:
    served(redis)
    assert redis.prepare().returncode == 0, redis.prepare().stderr
    server = Server(redis)
    assert server.ask("dbsize") == "10"
    server.stop("kill")
    assert (redis.volume / "held").exists(), "from now on an empty volume is a loss"


@STARTS
def test_rights_are_what_they_say(redis: Pod) -> None:
    redis.prepare()
    server = Server(redis)
    try:
        assert server.ask("set", "k", "1", user="app") == "OK"
        assert server.ask("get", "k", user="readonly") == "1"
        allowed = {"app": ["flushdb"], "backup": ["bgsave", "scan 0", "dump k", "dbsize", "info persistence"], "readonly": ["scan 0"]}
        refused = {
            "app": ["config set save ''", "shutdown", "acl list", "replicaof no one", "flushall"],
            "readonly": ["set k 2", "del k", "config get save", "bgsave"],
            "backup": ["set k 2", "del k", "flushall", "config set save ''", "shutdown"],
        }
        for user, commands in refused.items():
            for command in commands:
                assert "NOPERM" in server.ask(*command.split(), user=user), f"{user}: {command}"
        for user, commands in allowed.items():
            for command in commands:
                assert "NOPERM" not in server.ask(*command.split(), user=user), f"{user}: {command}"
        assert (
            "NOAUTH" in subprocess.run(["redis-cli", "-s", server.socket, "get", "k"], capture_output=True, text=True, check=False).stdout
        )
    finally:
        server.stop()


@STARTS
def test_a_snapshot_alone_is_read_and_not_started_beside(redis: Pod) -> None:
    """Redis with appendonly starts EMPTY from a snapshot without a log."""
    served(redis)
    shutil.rmtree(redis.data / "appendonlydir")
    result = redis.prepare()
    assert result.returncode == 0, result.stderr
    server = Server(redis)
    assert server.ask("dbsize") == "10"
    server.stop()


@STARTS
def test_a_restore_is_not_undone_by_the_old_log_and_what_was_there_is_kept(redis: Pod) -> None:
    served(redis)
    shutil.copy(redis.data / "dump.rdb", redis.root / "wanted.rdb")
    redis.prepare()
    server = Server(redis)
    server.ask("set", "later", "1")
    server.stop()
    shutil.move(redis.root / "wanted.rdb", redis.volume / "restore.rdb")
    assert redis.prepare().returncode == 0
    server = Server(redis)
    assert server.ask("dbsize") == "10"
    assert server.ask("exists", "later") == "0"
    server.stop()
    (kept,) = redis.volume.glob("before-restore-*")
    assert (kept / "appendonlydir" / "appendonly.aof.manifest").exists()


@STARTS
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("manifest", "without its manifest"),
        ("base", "which its manifest names"),
        ("everything", "once held data"),
    ],
)
def test_a_log_that_is_not_whole_is_refused(redis: Pod, damage: str, word: str) -> None:
    served(redis)
    log = redis.data / "appendonlydir"
    redis.prepare()
    if damage == "manifest":
        (log / "appendonly.aof.manifest").unlink()
    elif damage == "base":
        next(log.glob("*.base.*")).unlink()
    else:
        shutil.rmtree(redis.data)
        redis.data.mkdir()
    redis.refused(word)


@STARTS
def test_a_damaged_restore_is_refused_before_anything_moves(redis: Pod) -> None:
    served(redis)
    whole = (redis.data / "dump.rdb").read_bytes()
    (redis.volume / "restore.rdb").write_bytes(whole[:-9] + b"\0" * 9)
    redis.refused("restore.rdb", "damaged")


def test_a_volume_that_cannot_be_written_says_so(redis: Pod) -> None:
    (redis.root / "mounts").write_text("")
    redis.refused("is not mounted")
    (redis.root / "mounts").write_text(f"/dev/x {redis.volume} xfs rw 0 0\n")
    (redis.volume / ".writable").mkdir()  # the probe cannot be written, whoever runs this test
    redis.refused("cannot be written", f"belongs to {os.getuid()}:", "mode ", "corrupted")


@STARTS
def test_another_servers_volume_is_left_alone(redis: Pod, tmp_path: Path) -> None:
    served(redis)
    redis.refused("was made by redis 8, this image is redis 9", MAJOR="9")
    (redis.volume / "made-by").unlink()
    redis.refused("that nobody signed")


def test_a_cache_needs_no_volume(redis: Pod) -> None:
    (redis.root / "mounts").write_text("")
    assert redis.prepare(MODE="cache").returncode == 0


def test_qdrant_gets_its_keys_and_an_emptied_volume_is_refused(tmp_path: Path) -> None:
    qdrant = pod("qdrant", tmp_path, VERSION="1.18")
    (tmp_path / "config" / "config.yaml").write_text(settings("vectors"))
    assert qdrant.prepare().returncode == 0
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    service = written["service"]
    assert (service["api_key"], service["read_only_api_key"]) == ("admin-secret", "readonly-secret")
    assert service["enable_tls"] is True
    assert service["host"], "the default listens wherever it likes"
    assert written["storage"]["storage_path"] == "/stores/vectors/data/storage"
    (qdrant.data / "storage" / "snapshots_recovery_tmp").mkdir(parents=True)
    (qdrant.data / "storage" / "raft_state.json").write_text("{}")
    qdrant.refused("a restore that was broken off, and no collection")
    (qdrant.data / "storage" / "collections" / "documents").mkdir(parents=True)
    assert qdrant.prepare().returncode == 0
    assert not (qdrant.data / "storage" / "snapshots_recovery_tmp").exists(), "every later restore of everything would panic on it"
    shutil.rmtree(qdrant.data / "storage")
    qdrant.refused("once held data")


def test_rabbitmq_never_starts_an_empty_broker_beside_the_data(tmp_path: Path) -> None:
    rabbit = pod("rabbitmq", tmp_path, MAJOR="4", RABBITMQ_NODENAME="rabbit@localhost")
    assert rabbit.prepare().returncode == 0
    assert (tmp_path / "run" / "conf.d" / "10-admin.conf").read_text() == "default_user = admin\ndefault_pass = admin-secret\n"
    cookie = (tmp_path / "run" / ".erlang.cookie").read_text()
    assert len(cookie) >= 20
    (rabbit.data / "rabbit@localhost").mkdir()
    (rabbit.data / "rabbit@localhost-plugins-expand").mkdir()
    assert rabbit.prepare().returncode == 0
    assert (tmp_path / "run" / ".erlang.cookie").read_text() != cookie, "it belongs to one pod"
    rabbit.refused("holds the node rabbit@localhost, this is hare@localhost", RABBITMQ_NODENAME="hare@localhost")
    shutil.rmtree(rabbit.data / "rabbit@localhost")
    rabbit.refused("once held data")


def test_directories_are_made_as_the_application_wants_them(tmp_path: Path) -> None:
    files = pod("files", tmp_path, DIRECTORIES="media static", MODE="0750")
    (files.volume / "media").mkdir()
    (files.volume / "media" / "photo").write_text("kept")
    assert files.prepare().returncode == 0
    assert {path.name: f"{path.stat().st_mode & 0o777:o}" for path in files.volume.iterdir()} == {"media": "750", "static": "750"}
    assert (files.volume / "media" / "photo").read_text() == "kept"
