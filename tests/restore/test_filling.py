"""A dump is loaded while it is still on its way; what breaks off says why."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from psycopg import sql

from perene.backup import process
from perene.backup.arriving import Arriving
from perene.backup.postgres.server import Server
from perene.errors import PereneError
from perene.restore import copying, filling
from tests.programs import needs

TABLES, ROWS = 4, 20_000


@needs("postgres")
@pytest.fixture
def database(server: Server) -> Iterator[Callable[[], str]]:
    """Gives a new empty database each time it is called."""
    made: list[str] = []

    def new() -> str:
        made.append(f"fill_{uuid.uuid4().hex[:8]}")
        with server.connect("postgres", autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {made[-1]}".encode())
        return made[-1]

    yield new
    with server.connect("postgres", autocommit=True) as admin:
        for name in made:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def dumped(server: Server, database: str, target: Path) -> bytes:
    with server.tools() as env:
        process.run(["pg_dump", "-Fc", "-Z0", f"--file={target}", f"--dbname={database}"], env=env, what="dumping")
    return target.read_bytes()


@pytest.fixture
def content(server: Server, database: Callable[[], str], tmp_path: Path) -> bytes:
    """A dump of some tables with an index each and a key from each to the one before."""
    name = database()
    with server.connect(name, autocommit=True) as connection:
        for number in range(TABLES):
            connection.execute(f"CREATE TABLE public.t{number} (i int PRIMARY KEY, word text)".encode())
            connection.execute(f"INSERT INTO public.t{number} SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) i".encode())
            if number:
                connection.execute(f"ALTER TABLE public.t{number} ADD FOREIGN KEY (i) REFERENCES public.t{number - 1}".encode())
    return dumped(server, name, tmp_path / "whole")


def counted(server: Server, database: str) -> list[int]:
    """Rows by table; -1 where there is no table yet."""
    with server.connect(database, autocommit=True) as connection:
        found = []
        for number in range(TABLES):
            there = connection.execute("SELECT to_regclass(%s)", [f"public.t{number}"]).fetchall()[0][0]
            query = f"SELECT count(*) FROM public.t{number}" if there else "SELECT -1"
            found.append(int(str(connection.execute(query.encode()).fetchall()[0][0])))
        return found


class Sender:
    """Sends a dump as the repository does: some of it, more later, the end when it is told."""

    def __init__(self) -> None:
        self.pipe, self._into = os.pipe()

    def send(self, content: bytes, *, end: bool = True) -> None:
        """In the background; whoever reads may go away."""

        def send() -> None:
            with suppress(BrokenPipeError):
                left = memoryview(content)
                while left:
                    left = left[os.write(self._into, left) :]
            if end:
                os.close(self._into)

        threading.Thread(target=send, daemon=True).start()


def fill(server: Server, content: bytes, database: str, folder: Path, *, jobs: int = 4, wait: Callable[[], object] = lambda: None) -> None:
    sender = Sender()
    sender.send(content)
    try:
        filling.fill(server, Arriving(sender.pipe, wait), database, folder=folder, timescale=None, jobs=jobs)
    finally:
        os.close(sender.pipe)


def test_tables_that_are_here_are_loaded_while_the_others_are_on_their_way(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path
) -> None:
    name, sender, told = database(), Sender(), [0]
    # pg_restore holds a table's last bytes back until the next one is here.
    most = len(content) * 7 // 10

    def progress(done: int) -> None:
        told.append(done)

    def run() -> None:
        filling.fill(server, Arriving(sender.pipe), name, folder=tmp_path, timescale=None, jobs=4, progress=progress)

    filler = threading.Thread(target=run, daemon=True)
    filler.start()
    sender.send(content[:3000], end=False)
    time.sleep(0.3)
    assert counted(server, name) == [-1] * TABLES, "not even the head is whole"
    sender.send(content[3000:most], end=False)
    deadline = time.monotonic() + 60
    while counted(server, name)[0] != ROWS and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counted(server, name)[::3] == [ROWS, 0], "the first is loaded, the last is not here"
    with server.connect(name, autocommit=True) as connection:
        while connection.execute("SELECT to_regclass('public.t0_pkey')").fetchall() == [(None,)]:
            assert time.monotonic() < deadline, "what is loaded gets its indexes meanwhile"
            time.sleep(0.05)
    assert told[-1] <= most
    sender.send(content[most:])
    filler.join(60)
    assert counted(server, name) == [ROWS] * TABLES
    assert told[-1] == len(content)
    assert told == sorted(told)
    with server.connect(name, autocommit=True) as connection:
        query = "SELECT contype::text, count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace GROUP BY 1"
        assert dict(connection.execute(query).fetchall()) == {"p": TABLES, "f": TABLES - 1}


def test_a_dump_is_read_to_its_end_when_nobody_needs_that_any_more(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path
) -> None:
    sender, told, longer = Sender(), [0], content + bytes(5_000_000)
    sender.send(longer)
    filling.fill(server, Arriving(sender.pipe), database(), folder=tmp_path, timescale=None, progress=told.append)
    assert told[-1] == len(longer), "who sends it can say that it was whole"


@pytest.mark.parametrize("came", [0, 200, 3000, 500_000])
def test_what_ends_on_its_way_says_why_and_not_that_the_dump_is_short(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, came: int
) -> None:
    def gone() -> None:
        raise PereneError("restic dump: the repository went away")

    with pytest.raises(PereneError, match="went away"):
        fill(server, content[:came], database(), tmp_path, wait=gone)


@pytest.mark.parametrize("left", [0.0, 0.001, 0.5, 0.999])
def test_a_short_dump_is_refused(server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, left: float) -> None:
    with pytest.raises(PereneError, match="restoring"):
        fill(server, content[: int(len(content) * left)], database(), tmp_path)


@pytest.mark.parametrize("jobs", [2, 4])
def test_a_failure_ends_it_at_once_and_leaves_nothing_on_the_servers_disk(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, jobs: int
) -> None:
    name, empty, sender = database(), database(), Sender()
    row = b"100\tf899139df5e1059396431415e770c6dd"
    tables = content.split(row)
    assert len(tables) == TABLES + 1
    broken = row.join(tables[:3]) + b"1x0" + row[3:] + row.join(tables[3:])
    # The rest never comes: whoever waits for it would wait for ever.
    sender.send(broken[:-200_000], end=False)
    with pytest.raises(PereneError, match="invalid input syntax for type integer"):
        filling.fill(server, Arriving(sender.pipe), name, folder=tmp_path, timescale=None, jobs=jobs)
    assert _grown(server, name, empty) < 1_000_000, "two tables were loaded"


@pytest.mark.parametrize("jobs", [2, 4])
def test_an_index_that_cannot_be_built_ends_it_at_once_and_leaves_nothing(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, jobs: int
) -> None:
    name, empty, sender = database(), database(), Sender()
    row = b"100\tf899139df5e1059396431415e770c6dd"
    twice = content.replace(row, row.replace(b"100", b"101"), 1)
    assert twice != content
    sender.send(twice[:-200_000], end=False)
    with pytest.raises(PereneError, match="could not create unique index"):
        filling.fill(server, Arriving(sender.pipe), name, folder=tmp_path, timescale=None, jobs=jobs)
    assert _grown(server, name, empty) < 1_000_000


@pytest.mark.parametrize("why", ["a row", "the repository", "too short"])
def test_whatever_fails_does_not_wait_for_an_index(server: Server, database: Callable[[], str], tmp_path: Path, why: str) -> None:
    original, name, empty, sender = database(), database(), database(), Sender()
    seconds = 60
    with server.connect(original, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.slow(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN "
            f"IF current_database() <> '{original}' THEN PERFORM pg_sleep({seconds}); END IF; RETURN i; END $$".encode()
        )
        connection.execute("CREATE TABLE public.t0 AS SELECT 1 AS i; CREATE INDEX ON public.t0 (public.slow(i))")
        connection.execute("CREATE TABLE public.t1 AS SELECT i, md5(i::text) AS word FROM generate_series(1, 100000) i")
        connection.execute("CREATE TABLE public.t2 AS SELECT i, md5(i::text) AS word FROM generate_series(1, 100000) i")
    content = dumped(server, original, tmp_path / "dump")
    first, then = content[: len(content) // 2], content[len(content) // 2 :]
    if why == "a row":
        then = then.replace(b"7000\t", b"7x00\t")
    failures: list[PereneError] = []

    def wait() -> None:
        if why == "the repository":
            raise PereneError("it went away")

    def run() -> None:
        try:
            filling.fill(server, Arriving(sender.pipe, wait), name, folder=tmp_path, timescale=None, jobs=4)
        except PereneError as failure:
            failures.append(failure)

    filler = threading.Thread(target=run, daemon=True)
    filler.start()
    sender.send(first, end=False)
    with server.connect("postgres", autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'CREATE INDEX%%' AND state = 'active'"
        deadline = time.monotonic() + 30
        while connection.execute(query, [name]).fetchall() != [(1,)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        begin = time.monotonic()
        sender.send(then if why == "a row" else then[:-1_000_000])
        filler.join(seconds / 2)
        assert time.monotonic() - begin < seconds / 2
        # It is cancelled, which its server says a moment later.
        while connection.execute(query, [name]).fetchall() != [(0,)]:
            assert time.monotonic() - begin < seconds / 2
            time.sleep(0.05)
    # What pg_restore says of a dump depends on where it is cut.
    expected = {"a row": "invalid input syntax", "the repository": "it went away", "too short": "pg_restore ended with 1"}
    assert expected[why] in str(failures)
    assert _grown(server, name, empty) < 1_000_000


def _grown(server: Server, database: str, empty: str) -> int:
    """Bytes that a database takes more than an empty one."""
    with server.connect("postgres", autocommit=True) as connection:
        query = "SELECT pg_database_size(%s) - pg_database_size(%s)"
        return int(str(connection.execute(query, [database, empty]).fetchall()[0][0]))


# What hangs on a table in one way or another.
SCHEMA = """
CREATE TABLE public.plain (i int PRIMARY KEY, word text UNIQUE, at tstzrange, EXCLUDE USING gist (at WITH &&));
CREATE INDEX words ON public.plain (lower(word)) WHERE i > 5;
CREATE INDEX "odd; name" ON public.plain USING hash (word);
ALTER TABLE public.plain CLUSTER ON plain_word_key, REPLICA IDENTITY USING INDEX plain_pkey;
CREATE TABLE public.child (i int REFERENCES public.plain, j int, CHECK (j > 0), UNIQUE (i, j) DEFERRABLE);
CREATE TABLE public.heir (more int) INHERITS (public.child);
CREATE INDEX ON public.heir (more DESC NULLS LAST) INCLUDE (j);
CREATE TABLE public.whole (i int, d date, PRIMARY KEY (i, d)) PARTITION BY RANGE (d);
CREATE TABLE public.part_1 PARTITION OF public.whole FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.part_2 PARTITION OF public.whole FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY HASH (i);
CREATE TABLE public.part_2a PARTITION OF public.part_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE INDEX ON public.whole (d);
CREATE INDEX ON public.part_1 (i);
CREATE TYPE public.kind AS ENUM ('a', 'b');
CREATE TABLE public.hashed (k public.kind) PARTITION BY HASH (k);
CREATE TABLE public.hashed_1 PARTITION OF public.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.hashed_2 PARTITION OF public.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON public.hashed (k);
CREATE MATERIALIZED VIEW public.seen AS SELECT p.i, c.j FROM public.plain p LEFT JOIN public.child c USING (i);
CREATE UNIQUE INDEX ON public.seen (i);
CREATE STATISTICS public.together ON i, j FROM public.child;
CREATE FUNCTION public.other(i int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) + other.i FROM public.child';
CREATE INDEX ON public.plain (public.other(i));
INSERT INTO public.plain SELECT i, md5(i::text), tstzrange(now() + i * '1 day'::interval, now() + i * '1 day'::interval + '1 hour')
    FROM generate_series(1, 3000) i;
INSERT INTO public.child SELECT i, 1 FROM generate_series(1, 100) i;
INSERT INTO public.whole SELECT i, date '2026-01-01' + i % 59 FROM generate_series(1, 3000) i;
INSERT INTO public.hashed SELECT (ARRAY['a', 'b'])[1 + i % 2]::public.kind FROM generate_series(1, 100) i;
REFRESH MATERIALIZED VIEW public.seen;
"""


@pytest.mark.parametrize("jobs", [2, 6])
def test_everything_that_hangs_on_a_table_comes_back(server: Server, database: Callable[[], str], tmp_path: Path, jobs: int) -> None:
    name, back = database(), database()
    with server.connect(name, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    fill(server, dumped(server, name, tmp_path / "dump"), back, tmp_path, jobs=jobs)

    def definitions(database: str) -> list[str]:
        with server.tools() as env:
            text = process.run(["pg_dump", "--schema-only", database], env=env, what="dumping").decode()
        # A random word that psql is told.
        return sorted(line for line in text.splitlines() if not line.startswith("\\"))

    assert definitions(back) == definitions(name)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 64, 1000])
def test_rows_are_whole_wherever_the_script_is_cut_and_whoever_takes_them(
    server: Server, database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(copying, "PIECE", piece)
    name = database()
    with server.connect(name, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.word (i int, word text); CREATE TABLE public.nothing (i int)")
        connection.execute("CREATE TABLE public.no_columns (); INSERT INTO public.no_columns DEFAULT VALUES")
        rows = [(1, "\\."), (2, "\n\\.\n"), (3, "\nCOPY public.word (i) FROM stdin;\n"), (4, None), (5, ""), (6, "x" * 3000), (7, "\\")]
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO public.word VALUES (%s, %s)", rows)
        connection.execute('CREATE TABLE public."a\nCOPY public.word FROM stdin;\n" AS SELECT * FROM public.word')
    content = dumped(server, name, tmp_path / "dump")
    for jobs in (2, 6):
        back = database()
        fill(server, content, back, tmp_path, jobs=jobs)
        with server.connect(back, autocommit=True) as connection:
            for table in ("word", "a\nCOPY public.word FROM stdin;\n"):
                query = sql.SQL("SELECT i, word FROM public.{} ORDER BY i").format(sql.Identifier(table))
                assert connection.execute(query).fetchall() == rows
            query = sql.SQL("SELECT (SELECT count(*) FROM public.no_columns), (SELECT count(*) FROM public.nothing)")
            assert connection.execute(query).fetchall() == [(1, 0)]


def test_several_connections_take_the_rows_of_one_table(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PIECE", 5000)
    name = database()
    fill(server, content, name, tmp_path, jobs=6)
    assert counted(server, name) == [ROWS] * TABLES
    with server.connect(name, autocommit=True) as connection:
        writers = connection.execute("SELECT count(DISTINCT xmin::text) FROM public.t0").fetchall()
    assert writers == [(3,)], "each connection has written some of it"


def test_large_objects_come_with_the_tables(server: Server, database: Callable[[], str], tmp_path: Path) -> None:
    name, back = database(), database()
    with server.connect(name, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.t0 (i int); INSERT INTO public.t0 SELECT generate_series(1, 20000)")
        connection.execute("SELECT lo_from_bytea(4711, decode(repeat('ab', 3000000), 'hex')); COMMENT ON LARGE OBJECT 4711 IS 'ours'")
    fill(server, dumped(server, name, tmp_path / "dump"), back, tmp_path)
    with server.connect(back, autocommit=True) as connection:
        query = "SELECT (SELECT count(*) FROM public.t0), length(lo_get(4711)), obj_description(4711, 'pg_largeobject')"
        assert connection.execute(query).fetchall() == [(20000, 3_000_000, "ours")]


def test_rights_come_last_so_that_none_is_in_the_way(server: Server, database: Callable[[], str], tmp_path: Path) -> None:
    name, owner, restorer = database(), "fill_owner", "fill_restorer"
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {owner}; CREATE ROLE {restorer} LOGIN; GRANT {owner} TO {restorer}".encode())
    with server.connect(name, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA s AUTHORIZATION {owner}".encode())
        connection.execute("CREATE TABLE s.history (i int); INSERT INTO s.history SELECT generate_series(1, 10)")
        connection.execute(f"ALTER TABLE s.history OWNER TO {owner}; REVOKE INSERT ON s.history FROM {owner}".encode())
    dumped(server, name, tmp_path / "dump")
    back = database()
    with server.connect(back, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {back} OWNER TO {restorer}".encode())
    as_restorer = Server(host=server.host, port=server.port, user=restorer)
    fill(as_restorer, (tmp_path / "dump").read_bytes(), back, tmp_path)
    with server.connect(back, autocommit=True) as connection:
        query = "SELECT (SELECT count(*) FROM s.history), has_table_privilege(%s, 's.history', 'INSERT')"
        assert connection.execute(query, [owner]).fetchall() == [(10, False)]
        connection.execute(f"DROP OWNED BY {owner}; ALTER DATABASE {back} OWNER TO CURRENT_USER".encode())
    with server.connect(name, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {owner}; DROP ROLE {restorer}, {owner}".encode())


@pytest.mark.parametrize("encoding", ["LATIN1", "UTF8"])
def test_tables_of_any_name_come_back(server: Server, database: Callable[[], str], tmp_path: Path, encoding: str) -> None:
    names = [
        "é",
        "semi; colon",
        "two\nlines",
        " ",
        'quo"te',
        "t1 admin",
        *(["line\u2028separator", "\u00e9\x85"] if encoding == "UTF8" else []),
    ]
    name, back = f"{database()}_odd", database()
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
    try:
        with server.connect(name, autocommit=True) as connection:
            for one in names:
                connection.execute(sql.SQL("CREATE TABLE public.{} AS SELECT 1").format(sql.Identifier(one)))
        dumped(server, name, tmp_path / "dump")
        fill(server, (tmp_path / "dump").read_bytes(), back, tmp_path)
    finally:
        with server.connect("postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    with server.connect(back, autocommit=True) as connection:
        found = connection.execute("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        assert sorted(str(row[0]) for row in found.fetchall()) == sorted(names)
        for one in names:
            counted = connection.execute(sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(one))).fetchall()
            assert counted == [(1,)], one


@pytest.mark.parametrize(("given", "each"), [((1, "32MB"), "256MB"), ((2, "32MB"), "128MB"), ((8, "32MB"), "32MB"), ((8, "1GB"), "1GB")])
def test_indexes_share_their_memory_unless_the_server_gives_each_more(
    server: Server, database: Callable[[], str], tmp_path: Path, given: tuple[int, str], each: str
) -> None:
    jobs, own = given
    name, restored = database(), database()
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {restored} SET maintenance_work_mem = '{own}'".encode())
    with server.connect(name, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.t (i int)")
        connection.execute("INSERT INTO public.t VALUES (1)")
        connection.execute(
            "CREATE FUNCTION public.memory(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT current_setting('maintenance_work_mem') $$"
        )
        connection.execute("CREATE INDEX ON public.t (public.memory(i))")
    fill(server, dumped(server, name, tmp_path / "whole"), restored, tmp_path, jobs=jobs)
    with server.connect(restored, autocommit=True) as connection:
        # By the index: it holds what was so while it was built.
        connection.execute("SET enable_seqscan = off")
        assert connection.execute("SELECT count(*) FROM public.t WHERE public.memory(i) = %s", [each]).fetchall() == [(1,)]
