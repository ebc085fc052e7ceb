"""Redis copied, checked, fingerprinted and stored against `redis-cli --rdb` and restic alone; cross-checks against `sort` and `comm`.

Real servers of this computer; times are of a wall clock, the best of alternating runs, because the work is done by other processes.
"""

import io
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from bench import Row
from perene.backup import redis as driver
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.cross_check import CrossCheck, Paths, Rows
from perene.contract.drill import StoreResult
from perene.drill.daemon import daemon
from perene.restore.crosscheck import AGAINST, ROWS, Crossing
from tests import programs

KEYS, VALUE, VALUES, RUNS = 200_000, 200, 200_000, 3


def run() -> list[Row]:
    """Measure and return the rows."""
    programs.debian13()
    programs.on_path()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_redis(folder), _crossing(folder)]


def _redis(folder: Path) -> list[Row]:
    socket = folder / "socket"
    client = redis.Redis(unix_socket_path=str(socket))
    settings = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--repl-diskless-sync", "no", "--dir", str(folder)]
    with daemon(["redis-server", *settings], what="starting Redis", folder=folder, ready=socket.exists):
        pipeline = client.pipeline(transaction=False)
        for number in range(KEYS):
            pipeline.set(f"key:{number}", os.urandom(VALUE // 2).hex())
        pipeline.execute()
        repository = Repository(url=str(folder / "repository"), password=lambda: b"bench", host="bench")
        repository.init()
        count = iter(range(1000))

        def ours() -> None:
            driver.backup(client, repository=repository, set_id=str(next(count)), store="cache", stages=Stages(io.StringIO(), live=False))

        def plain() -> None:
            dump = folder / f"{next(count)}.rdb"
            subprocess.run(["redis-cli", "-s", str(socket), "--rdb", str(dump)], check=True, capture_output=True)
            repository.backup_command(["cat", str(dump)], path="/plain.rdb", tags={"set": "plain"})

        measured, bare = _best(ours, plain)
        dump = folder / "one.rdb"
        driver.fetch(client, dump)
    with driver.reading(dump, folder) as copy:
        begin = time.monotonic()
        driver.fingerprint(copy)
        counted = time.monotonic() - begin
    what = f"Redis, {KEYS} keys of {VALUE} bytes"
    return [
        Row(
            what=f"{what}: copied, read, fingerprinted, stored",
            against="redis-cli --rdb and restic",
            measured=measured,
            plain=bare,
            unit="s",
        ),
        Row(what=f"{what}: fingerprint alone", against="the same", measured=counted, plain=bare, unit="s"),
    ]


def _crossing(folder: Path) -> Row:
    values = [f"{number * 7919 % VALUES}.jpg" for number in range(VALUES)]
    files = folder / "left", folder / "right"
    for file in files:
        file.write_text("\n".join(values) + "\n")
    check = CrossCheck(rows=Rows(store="main", database="d", table="t", column="c"), against=Paths(store="media"))

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as sides:
            crossing = Crossing({"one": check}, Path(sides))
            for side in (ROWS, AGAINST):
                crossing.keep("one", side, values)
            none = StoreResult(differences=(), checks=(), seconds={}, bytes=0)
            if crossing.results({"main": none}, all_=True)["main"].differences:
                raise AssertionError("both sides are the same")

    def plain() -> None:
        left, right = (f"<(LC_ALL=C sort -u {file})" for file in files)
        subprocess.run(["bash", "-c", f"LC_ALL=C comm -3 {left} {right}"], check=True, capture_output=True)

    measured, bare = _best(ours, plain)
    return Row(what=f"cross-check of {VALUES} rows with its proof", against="sort and comm", measured=measured, plain=bare, unit="s")


def _best(*runs: Callable[[], None]) -> list[float]:
    """Seconds of each, the best of several turns."""
    best = [float("inf")] * len(runs)
    for _ in range(RUNS):
        for index, one in enumerate(runs):
            begin = time.monotonic()
            one()
            best[index] = min(best[index], time.monotonic() - begin)
    return best
