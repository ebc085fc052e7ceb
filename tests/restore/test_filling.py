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

TABLES, ROWS = 4, 20_000


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
    with server.connect(name, autocommit=True) as connection:
        query = "SELECT pg_database_size(%s) - pg_database_size(%s)"
        assert int(str(connection.execute(query, [name, empty]).fetchall()[0][0])) < 1_000_000, "two tables were loaded"


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


def test_a_single_connection_stores_rows_that_no_scan_writes_again(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path
) -> None:
    name = database()
    fill(server, content, name, tmp_path, jobs=2)
    with server.connect(name, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_visibility SCHEMA public")
        # Not the pages at which the server takes the next rows into its hand.
        query = "SELECT all_frozen > pg_relation_size('public.t0') / 8192 / 2 FROM public.pg_visibility_map_summary('public.t0')"
        assert connection.execute(query).fetchall() == [(True,)]


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
