"""What is too large for the unit tests, or needs root: ten thousand tables, a large object of 2 GB, a file system that is really full."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.backup.repository import Repository
from perene.exit_codes import ExitCode
from tests.backup.conftest import empty_repository, repository, server  # noqa: F401 - fixtures
from tests.backup.kills import DATABASE, Victims, repository_at
from tests.backup.test_faults import same_again
from tests.backup.test_round_trip import backed_up
from tests.programs import needs
from tests.small_disk import small_disk

TABLES, MEGABYTES = 10_000, 2048
LARGE = {
    "ten_thousand_tables": "DO $$ BEGIN FOR i IN 1..{tables} LOOP EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY)', i); "
    "EXECUTE format('INSERT INTO public.t%s VALUES (%s)', i, i); IF i % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$",
    "a_large_object_of_2_gb": "SELECT lo_create(9); DO $$ BEGIN FOR i IN 0..{megabytes} - 1 LOOP "
    "PERFORM lo_put(9, i * 1048576::bigint, decode(repeat(md5(i::text), 65536), 'hex')); END LOOP; END $$",
}


@pytest.mark.parametrize("name", LARGE)
@needs("mount", "umount")
def test_large_things_come_back(server: Server, repository: Repository, name: str, tmp_path: Path) -> None:  # noqa: F811 - fixtures
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with server.connect(name, autocommit=True) as connection:
        for statement in LARGE[name].format(tables=TABLES, megabytes=MEGABYTES).split("; DO"):
            connection.execute((statement if statement.startswith(("SELECT", "DO")) else f"DO{statement}").encode())
    store = backed_up(server, repository, name)
    content = same_again(server, repository, store, name, tmp_path).databases[name]
    assert (len(content.tables), content.large_objects.rows) in {(TABLES, 0), (0, MEGABYTES)}
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    place = tmp_path / "small"
    place.mkdir()
    with small_disk(place, 24 * 2**20):
        yield place


@needs("mount", "umount")
def test_a_full_file_system_fails_the_backup_costs_no_set_and_is_over_when_there_is_room(server: Server, small: Path) -> None:  # noqa: F811
    opened = repository_at(str(small / "repository"))
    opened.init()
    victims = Victims(server, opened, random.Random(1))  # noqa: S311 - not used
    victims.fill(100_000)
    with server.connect(DATABASE, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.more AS SELECT sha512(i::text::bytea) FROM generate_series(1, 400000) i")
    child = victims.start("backup")
    said = child.communicate()[1]
    assert child.returncode == ExitCode.FAILED, said
    assert "no space left on device" in said
    assert victims.on_hand() == victims.whole
    subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
    victims.ends("backup")
    opened.check("100%")
