"""`perene migrate`: planning 500 migrations, an apply with nothing to do, and a rehearsal against the restore and the migrations alone.

The first two are whole commands, from the start of the interpreter, against their promised seconds: processor seconds of the command
and of what it starts (squawk), so that a busy machine does not count; the best of three runs counts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Row
from perene.migrate import rehearse
from perene.migrate.ledger import Actor
from perene.migrate.scripts import load
from tests.migrate.conftest import Database, Server
from tests.programs import debian13

ROOT = Path(__file__).parents[1]
MIGRATIONS, ROWS, RUNS = 500, 1_500_000, 3
PLAN_SECONDS, NO_OP_SECONDS, REHEARSAL_RATIO = 2.0, 1.0, 1.2


def run() -> list[Row]:
    """Measure and return the rows."""
    with _server() as (server, programs), tempfile.TemporaryDirectory() as place:
        many = Database(server, server.new_database(), Path(place))
        for number in range(1, MIGRATIONS + 1):
            table = f"CREATE TABLE t{number} (id bigint PRIMARY KEY, name text);"
            index = f"CREATE INDEX t{number}_name ON t{number} (name); ALTER TABLE t{number} ADD COLUMN at timestamptz DEFAULT now();"
            many.script(f"{number:03d}_t{number}", f"{table} {index}", f"DROP TABLE t{number};", revert="loses-data: the table")
        plan = _command("plan", many)
        many.deployment().apply()
        no_op = _command("apply", many)
        alone, rehearsed = _rehearsal(server, programs)
    return [
        Row(what=f"plan of {MIGRATIONS} migrations", against="the promise", measured=plan, plain=PLAN_SECONDS, unit="s", promised=1.0),
        Row(what=f"apply, {MIGRATIONS} applied", against="the promise", measured=no_op, plain=NO_OP_SECONDS, unit="s", promised=1.0),
        Row(
            what=f"rehearsal, {ROWS:,} rows",
            against="pg_restore and compare, then the migrations",
            measured=rehearsed,
            plain=alone,
            unit="s",
            promised=REHEARSAL_RATIO,
        ),
    ]


@contextmanager
def _server() -> Iterator[tuple[Server, Path]]:
    programs = debian13()
    directory = Path(tempfile.mkdtemp(prefix="perene-pg."))
    server = Server(directory, programs)
    server.start()
    try:
        yield server, programs
    finally:
        server.stop()
        shutil.rmtree(directory)


def _command(word: str, database: Database) -> float:
    command = [sys.executable, "-m", "perene", "migrate", word, "-C", str(database.directory), "--database", database.conninfo()]
    times = []
    for _ in range(RUNS):
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        if status:
            raise RuntimeError(f"{' '.join(command)} failed")
        times.append(used.ru_utime + used.ru_stime)
    return min(times)


def _rehearsal(server: Server, programs: Path) -> tuple[float, float]:
    """Seconds of (restore, comparison and the migrations alone; restore, comparison and the whole rehearsal)."""
    with tempfile.TemporaryDirectory() as place:
        source = Database(server, server.new_database(), Path(place))
        tables = (
            "CREATE TABLE cases (id bigint PRIMARY KEY, number text, note text); CREATE TABLE users (id bigint PRIMARY KEY, name text);"
        )
        source.script("001_tables", tables, "DROP TABLE cases; DROP TABLE users;", revert="loses-data: all")
        source.deployment().apply()
        with source.connect() as connection:
            connection.execute(
                f"INSERT INTO cases SELECT i, 'number ' || i, repeat(md5(i::text), 4) FROM generate_series(1, {ROWS}) i".encode()
            )
            connection.execute("CREATE INDEX cases_number ON cases (number)")
            connection.execute("INSERT INTO users SELECT i, md5(i::text) FROM generate_series(1, 100000) i")
        source.script(
            "002_phone", "ALTER TABLE users ADD COLUMN phone text;", "ALTER TABLE users DROP COLUMN phone;", revert="loses-data: x"
        )
        source.script("003_name", "CREATE INDEX CONCURRENTLY users_name ON users (name);", "DROP INDEX CONCURRENTLY users_name;")
        dump = Path(place) / "dump"
        subprocess.run([programs / "pg_dump", "-Fc", "-f", dump, "-d", source.conninfo("admin")], check=True)
        target = Database(server, server.new_database(), source.directory)
        start = time.monotonic()
        subprocess.run([programs / "pg_restore", "--jobs=2", "--clean", "--if-exists", "-d", target.conninfo("admin"), dump], check=True)
        # A restore compares what came back; the rehearsal is given what it found.
        known = rehearse.fingerprints(target.conninfo("admin"), ["public.cases"])
        restored = time.monotonic() - start
        copy = rehearse.Copy(database=target.conninfo(), recovery_set="bench", seconds=restored, known=known)
        record = rehearse.rehearse(copy, load(source.directory), store="main", actor=Actor(by="bench", commit=""))
        return restored + record.migration_seconds, record.total_seconds
