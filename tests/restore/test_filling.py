"""A dump is loaded while it is still on its way; what breaks off says why."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg import sql

from perene.backup import process
from perene.backup.arriving import Arriving
from perene.backup.postgres.server import Server
from perene.errors import PereneError
from perene.restore import filling

TABLES, ROWS = 4, 20_000
COUNTS = {f"public.t{number}": ROWS for number in range(TABLES)}


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


def add(file: Path, more: bytes) -> None:
    with file.open("ab") as out:
        out.write(more)


def test_tables_that_are_here_are_loaded_while_the_others_are_on_their_way(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path
) -> None:
    name, file, whole = database(), tmp_path / "dump", threading.Event()
    half = len(content) // 2
    file.write_bytes(content[:3000])
    dump = Arriving(path=file, ended=whole.is_set, wait=whole.wait)
    filler = threading.Thread(target=lambda: filling.fill(server, dump, name, timescale=None, rows=COUNTS, jobs=2))
    filler.start()
    time.sleep(0.3)
    assert counted(server, name) == [-1] * TABLES, "not even the head is whole"
    add(file, content[3000:half])
    deadline = time.monotonic() + 60
    while counted(server, name)[0] != ROWS and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counted(server, name)[::3] == [ROWS, 0], "the first is loaded, the last is not here"
    add(file, content[half:])
    whole.set()
    filler.join(60)
    assert counted(server, name) == [ROWS] * TABLES
    with server.connect(name, autocommit=True) as connection:
        query = "SELECT contype::text, count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace GROUP BY 1"
        assert dict(connection.execute(query).fetchall()) == {"p": TABLES, "f": TABLES - 1}


@pytest.mark.parametrize("arrived", [0, 200, 3000, 500_000])
def test_what_ends_on_its_way_says_why_and_not_that_the_file_is_short(
    server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, arrived: int
) -> None:
    file = tmp_path / "dump"
    file.write_bytes(content[:arrived])

    def gone() -> None:
        raise PereneError("restic dump: the repository went away")

    with pytest.raises(PereneError, match="went away"):
        filling.fill(server, Arriving(path=file, wait=gone), database(), timescale=None, rows=COUNTS)


@pytest.mark.parametrize("left", [0.0, 0.001, 0.5, 0.999])
def test_a_short_file_is_refused(server: Server, database: Callable[[], str], content: bytes, tmp_path: Path, left: float) -> None:
    file = tmp_path / "dump"
    file.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(PereneError, match="restoring"):
        filling.fill(server, Arriving(path=file), database(), timescale=None, rows=COUNTS)


def test_a_failure_ends_the_loading_of_the_others(server: Server, database: Callable[[], str], content: bytes, tmp_path: Path) -> None:
    name, file = database(), tmp_path / "dump"
    broken = content.replace(b"100\tf899139df5e1059396431415e770c6dd", b"1x0\tf899139df5e1059396431415e770c6dd", 1)
    assert broken != content
    file.write_bytes(broken[:-200_000])
    # The rest never comes: whoever waits for it would wait for ever.
    with pytest.raises(PereneError, match="invalid input syntax for type integer"):
        filling.fill(server, Arriving(path=file, ended=lambda: False), name, timescale=None, rows=COUNTS, jobs=2)


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
    filling.fill(as_restorer, Arriving(path=tmp_path / "dump"), back, timescale=None, rows={})
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
        filling.fill(server, Arriving(path=tmp_path / "dump"), back, timescale=None, rows={})
    finally:
        with server.connect("postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    with server.connect(back, autocommit=True) as connection:
        found = connection.execute("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        assert sorted(str(row[0]) for row in found.fetchall()) == sorted(names)
        for one in names:
            counted = connection.execute(sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(one))).fetchall()
            assert counted == [(1,)], one


def entries(*names: str) -> list[str]:
    return [f"{number}; 0 {number} {name} owner" for number, name in enumerate(names)]


def test_each_share_has_about_as_many_rows_in_the_order_of_the_dump() -> None:
    rows = {"public.big": 100, "public.small": 10, "public.other": 10, "app.odd name": 90}
    listed = entries(
        "TABLE DATA public small", "TABLE DATA public big", "TABLE DATA public other", "TABLE DATA app odd name", "BLOBS - 1..2"
    )
    small, big, other, odd, blobs = listed
    assert filling.shares(listed, rows, 2) == [[small, other, odd, blobs], [big]]
    assert filling.shares(listed, rows, 1) == [listed]
    assert filling.shares(listed, {}, 9)[0] == [small, blobs], "nobody for whom there is no table"
    assert filling.shares([], rows, 2) == []


def test_foreign_keys_before_any_data_are_noticed(server: Server, database: Callable[[], str]) -> None:
    name = database()
    assert not filling._has_foreign_keys(server, name)
    with server.connect(name, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.a (i int PRIMARY KEY); CREATE TABLE public.b (i int REFERENCES public.a)")
    assert filling._has_foreign_keys(server, name)
