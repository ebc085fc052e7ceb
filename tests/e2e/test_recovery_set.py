"""One set over PostgreSQL, Redis, RabbitMQ, Qdrant and files, on real servers (Qdrant: real where one is on PATH, else its double).

Made, drilled, its cross-checks failed on purpose on both sides, and one store alone restored against the others as they run.
"""

import io
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from perene.backup import qdrant_snapshots, service
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.backup.qdrant import Qdrant
from perene.backup.rabbitmq import Broker
from perene.backup.repository import Repository
from perene.backup.run import ensure_repository, make_set
from perene.contract.cross_check import CrossCheck, Paths, Points, Rows
from perene.contract.tier import Check, Goals, Login, SecretRef, ServiceEndpoint, Store, StoreBackup, TierDocument, Volume
from perene.drill import scratch_rabbitmq
from perene.drill.run import drill
from perene.drill.scratch import scratch
from perene.restore import crosscheck, run
from perene.restore.job import wrong
from tests.backup.tiers import tier as plain_tier
from tests.e2e.test_rabbitmq import prepared
from tests.programs import needs
from tests.stores.conftest import Start, qdrant_program, start

__all__ = ["qdrant_program", "start"]
pytestmark = [
    needs("redis-server", "redis-cli", "redis-check-rdb"),
    pytest.mark.skipif(not scratch_rabbitmq.PROGRAM.exists(), reason="not installed: rabbitmq-server"),
]
PHOTOS = 40
QUIET = Stages(io.StringIO(), live=False)
ROWS = {"store": "main", "database": "shop", "table": "public.photo"}
CHECKS = {
    "vectors": CrossCheck(rows=Rows(**ROWS, column="id"), against=Points(store="vectors", collection="live")),
    "media": CrossCheck(rows=Rows(**ROWS, column="path"), against=Paths(store="uploads", below="media"), orphans=1),
}


class System:
    """A small application's stores: every photo has a row, a file, a point and a job."""

    def __init__(self, server: Server, vectors: Qdrant, broker: Broker, *, queue: Any, port: int, files: Path) -> None:
        self.server, self.vectors, self.queue, self.port, self.broker, self.files = server, vectors, queue, port, broker, files
        with server.connect("postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE shop")
        self.sql(f"CREATE TABLE public.photo AS SELECT i AS id, 'p ' || i || '.jpg' AS path FROM generate_series(1, {PHOTOS}) i")
        vectors.ask("PUT", "/collections/photos", json={"vectors": {"size": 2, "distance": "Dot"}})
        vectors.ask(
            "POST", "/collections/aliases", json={"actions": [{"create_alias": {"collection_name": "photos", "alias_name": "live"}}]}
        )
        (files / "media").mkdir(parents=True)
        for number in range(1, PHOTOS + 1):
            self.point(number)
            (files / "media" / f"p {number}.jpg").write_text(str(number))
            queue.rpush("jobs", number)
        prepared(broker, messages=0)

    def sql(self, text: str) -> None:
        with self.server.connect("shop", autocommit=True) as connection:
            connection.execute(text.encode())

    def point(self, number: int) -> None:
        body = {"points": [{"id": number, "vector": [0.5, number], "payload": {"photo": number}}]}
        self.vectors.ask("PUT", "/collections/photos/points?wait=true", json=body)

    def tier(self, repository: Repository) -> TierDocument:
        common: dict[str, Any] = {
            "generation": 1,
            "version": "",
            "backup": StoreBackup(ways=("logical",)),
            "goals": Goals(rpo="24h", rto="1h"),
            "guarded": False,
        }
        web, api = urlsplit(self.vectors.url), urlsplit(self.broker.url)
        secret = SecretRef(vault="kubernetes", scope="test", name="events-backup", key="password")
        stores = {
            "vectors": Store(
                kind="qdrant",
                endpoint=ServiceEndpoint(protocol="http", host="127.0.0.1", port=web.port or 0),
                checks=(Check(count="live", at_least=PHOTOS),),
                **common,
            ),
            "queue": Store(
                kind="redis",
                endpoint=ServiceEndpoint(protocol="redis", host="127.0.0.1", port=self.port),
                checks=(Check(count="jobs", at_least=1, database="0"),),
                **common,
            ),
            "events": Store(
                kind="rabbitmq",
                endpoint=ServiceEndpoint(protocol="amqp", host="127.0.0.1", port=1, management_port=api.port),
                logins={"backup": Login(user=self.broker.user, password=secret)},
                rights={"backup": "dump"},
                messages="definitions",
                **common,
            ),
        }
        document = plain_tier(repository.url, server=self.server, databases=("shop",), files=self.files)
        volume = Volume(claim="c", size="1GiB", storage_class="x", mount_path=str(self.files))
        uploads = document.stores["uploads"].model_copy(update={"volume": volume, "checks": (Check(count="media/*.jpg", at_least=PHOTOS),)})
        every = {"uploads": uploads, **stores, "main": document.stores["main"]}
        return document.model_copy(update={"stores": every, "cross_checks": CHECKS})


@pytest.fixture
def work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def system(start: Start, qdrant_program: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    with ExitStack() as running:
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        queue = start(work / "redis", port=str(port))
        server = running.enter_context(scratch(work, {"wal_level": "replica"}))
        vectors = running.enter_context(qdrant_snapshots.scratch(work))
        broker = running.enter_context(scratch_rabbitmq.scratch(work))
        monkeypatch.setattr(service, "resolve", lambda _: broker.password.encode())
        yield System(server, vectors, broker, queue=queue, port=port, files=work / "uploads")


def proven(document: TierDocument, repository: Repository, work: Path) -> list[str]:
    """The reasons of a drill of the newest set: none when it is proven."""
    make_set(document, repository, stages=QUIET)
    return list(drill(document, repository, key=None, signing_key=None, work=work, stages=QUIET).reasons)


def test_one_set_over_all_stores_and_what_no_longer_fits(system: System, work: Path) -> None:
    repository = Repository(url=str(work / "repository"), password=lambda: b"x", host="test")
    ensure_repository(repository, QUIET)
    document = system.tier(repository)
    made = make_set(document, repository, stages=QUIET)
    assert [store.kind for store in made.stores.values()] == ["rabbitmq", "redis", "postgres", "qdrant", "files"]
    assert [store.started for store in made.stores.values()] == sorted(store.started for store in made.stores.values())
    record = drill(document, repository, key=None, signing_key=None, work=work, stages=QUIET)
    assert record.reasons == ()
    noticed = {name: result.damage.found_by for name, result in record.stores.items() if result.damage}
    assert noticed.keys() == {"vectors", "queue", "events"}
    assert all(noticed.values())
    checked = {check.count: check.found for result in record.stores.values() for check in result.checks}
    assert checked == {"cross-check vectors": PHOTOS, "cross-check media": PHOTOS, "live": PHOTOS, "jobs": 1, "media/*.jpg": PHOTOS}

    # Planted on both sides of both checks; one file that no row names is allowed for.
    system.point(777)
    system.sql("INSERT INTO public.photo VALUES (555, 'p 5.jpg')")
    (system.files / "media" / "p 7.jpg").rename(system.files / "media" / "elsewhere.jpg")
    reasons = "\n".join(proven(document, repository, work))
    assert "cross-check vectors: 777: expected a row of public.photo, found a point of live only" in reasons
    assert "cross-check vectors: 555: expected a point of live, found a row of public.photo only" in reasons
    assert "cross-check media: p 7.jpg: expected a file of uploads, found a row of public.photo only" in reasons
    assert "elsewhere.jpg" not in reasons

    # The first set's database alone, against the other stores as they run now.
    with crosscheck.crossing(document.cross_checks, work) as crossing:
        planned = run.jobs(made, repository, stores=document.stores, only="main", work=work, stages=QUIET, crossing=crossing)
        results = {name: restorer.beside(job) for name, (restorer, job) in planned.items()}
        assert not wrong(results["main"])
        crossing.take_live(document.stores)
        lines = "\n".join(wrong(crossing.results(results, all_=False)["main"]))
    assert "777" in lines
    assert "p 7.jpg" in lines
    assert "555" not in lines, "the row is younger than the set"


def test_a_store_that_cannot_be_restored_here_is_unproven_by_name(system: System, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(url=str(work / "repository"), password=lambda: b"x", host="test")
    ensure_repository(repository, QUIET)
    document = system.tier(repository)
    make_set(document, repository, stages=QUIET)
    monkeypatch.setattr(qdrant_snapshots, "program", lambda: None)
    record = drill(document, repository, key=None, signing_key=None, work=work, stages=QUIET)
    assert record.verdict == "failed"
    assert any(
        "vectors: unproven vectors: expected restored and compared, found no qdrant program is here" in one for one in record.reasons
    )
    crossed = [check.count for result in record.stores.values() for check in result.checks if check.count.startswith("cross-check")]
    assert crossed == ["cross-check media"], "a cross-check of which one side did not come back counts nothing"
