"""`perene restore --in-place`: saved first, exchanged in one step, and the old kept until a person says that it may go."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from perene.backup import keep, retention, sets
from perene.backup.places import Directory
from perene.contract.recovery_set import Count, RecoverySet
from perene.contract.tier import Login
from perene.restore import filling, journal, names, postgres
from perene.restore.marks import Mark
from tests.restore.conftest import NAME, ROWS, Shop, quiet, rewritten
from tests.restore.test_beside import Perene, content, with_main

pytestmark = pytest.mark.slow

IN_PLACE = ("restore", "newest", "--in-place")
ONE = (*IN_PLACE, "--store", "main", "--confirm", "main")
BOTH = (*IN_PLACE, "--confirm", "test", "--applications-stopped")


def record(shop: Shop, database: str = NAME) -> tuple[object, ...]:
    query = (
        "SELECT pg_get_userbyid(datdba), datacl::text, datconnlimit, shobj_description(oid, 'pg_database'), "
        "(SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0) FROM pg_database d WHERE datname = "
    )
    return shop.sql(f"{query}'{database}'", "postgres")[0]


def planted(made: RecoverySet) -> RecoverySet:
    """As if one row of a table had been another one when the set was made."""
    kept = content(made.stores["main"])
    prints = kept.databases[NAME].model_copy(update={"tables": {"public.photo": Count(rows=ROWS, hash="1")}})
    return with_main(made, content=kept.model_copy(update={"databases": {NAME: prints}}))


def test_both_stores_are_saved_restored_exchanged_and_finished(shop: Shop, perene: Perene) -> None:
    before = record(shop)
    shop.spoil()
    assert perene(*IN_PLACE, "--confirm", "main")[0] == 3, "both stores have the tier's name"
    code, said = perene(*BOTH)
    assert code == 0, said
    assert shop.state == ("new", "new")
    assert shop.databases() == {"", "__old"}
    assert shop.sql("SELECT count(*) FROM photo", f"{NAME}__old") == [(4,)], "what was live is kept"
    assert record(shop)[:3] + record(shop)[4:] == before[:3] + before[4:], "owner, rights, limit and settings are the set's"
    safety = [one for one in sets.on_hand(shop.repository.snapshots()) if one.reason == "pre-restore"]
    saved = sets.load(shop.repository, safety[0].id)
    assert content(saved.stores["main"]).databases[NAME].tables["public.photo"].rows == 4, "what was live is in a set too"
    assert sets.load(shop.repository, "newest").id == shop.made.id, "what is to be undone is never the newest"
    again, said = perene(*BOTH)
    assert (again, shop.state) == (0, ("new", "new")), said
    assert perene("restore", "--finish", "--confirm", "wrong")[0] == 3
    assert shop.databases() == {"", "__old"}, "nothing goes without its name"
    code, said = perene("restore", "--finish", "--confirm", "test")
    assert code == 0, said
    assert shop.databases() == {""}
    assert record(shop) == before, "with its own comment again"
    assert shop.state == ("new", "new")
    assert [path.name for path in shop.files.parent.iterdir()] == ["uploads"]


def test_open_applications_hold_the_exchange_off_and_the_same_command_goes_on(shop: Shop, perene: Perene) -> None:
    shop.spoil()
    with psycopg.connect(host=shop.server.host, user="shopper", dbname=NAME, application_name="till 3") as till:
        code, said = perene(*ONE)
        assert code == 3
        assert f"shopper in {NAME}, till 3 from this host (1)" in said
        assert shop.state[0] == "old"
        till.execute("SELECT 1")
    code, said = perene(*ONE)
    assert (code, shop.state[0]) == (0, "new"), said
    assert '"restore"' not in said, "what is there already is not restored again"
    code, said = perene("restore", "--abort")
    assert (code, shop.state[0]) == (0, "old"), said
    assert shop.sql("SELECT count(*) FROM photo", f"{NAME}__new") == [(ROWS,)], "what may have been written since is kept"
    assert perene(*ONE)[0] == 3, "one restore at a time"
    assert perene("restore", "--finish", "--confirm", "main")[0] == 0
    assert shop.databases() == {""}
    assert record(shop)[3] == "the shop"


def test_what_differs_is_not_exchanged(shop: Shop, perene: Perene) -> None:
    rewritten(shop, planted)
    shop.spoil()
    code, said = perene(*ONE)
    assert code == 6, said
    assert f"content {NAME}: public.photo: expected hash 1, found" in said
    assert (shop.state[0], shop.databases()) == ("old", {"", "__new"})
    held = keep.apply(shop.tier, shop.repository, now=sets.began(shop.made.id), dry_run=False, stages=quiet())
    assert "a restore of" in held.held, "retention leaves the set of an open restore alone"
    code, said = perene("restore", "--abort")
    assert code == 0, said
    assert (shop.state, shop.databases()) == (("old", "old"), {""}), "a restore that is given up before the exchange leaves nothing"
    assert perene("restore", "--abort")[0] == 3, "there is nothing more to give up"
    code, said = perene(*ONE, "--despite-differences")
    assert (code, shop.state[0]) == (0, "new"), said


def test_a_lost_database_comes_back_without_a_flag(shop: Shop, perene: Perene) -> None:
    shop.sql(f"DROP DATABASE {NAME} WITH (FORCE)", "postgres")
    code, said = perene(*ONE)
    assert code == 0, said
    assert "nothing of it is there any more" in said
    assert (shop.databases(), shop.sql("SELECT count(*) FROM photo")) == ({""}, [(ROWS,)])
    assert perene("restore", "--finish", "--confirm", "main")[0] == 0


def test_what_cannot_be_saved_is_not_replaced_unless_it_is_said_to_be_lost(shop: Shop, perene: Perene) -> None:
    shop.spoil()
    shop.files.chmod(0o755)
    # A table whose file is gone: the server runs, a dump fails.
    path = shop.sql("SELECT current_setting('data_directory') || '/' || pg_relation_filepath('photo')")[0][0]
    shop.sql("CHECKPOINT")
    Path(str(path)).unlink()
    shop.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{NAME}'", "postgres")
    code, said = perene(*ONE)
    assert code == 3
    assert "no safety backup could be taken, so nothing was restored" in said
    assert shop.databases() == {""}
    code, said = perene(*ONE, "--without-safety-backup", "main")
    assert (code, shop.state[0]) == (0, "new"), said
    assert shop.databases() == {"", "__old"}, "even what is lost is kept"


def test_a_server_without_room_is_found_before_anything_happens(shop: Shop, perene: Perene) -> None:
    def large(made: RecoverySet) -> RecoverySet:
        return with_main(made, content=content(made.stores["main"]).model_copy(update={"sizes": {NAME: 10**15}}))

    rewritten(shop, large)
    code, said = perene(*ONE)
    assert code == 3
    assert "GB are needed on the server" in said
    assert (shop.databases(), journal.read(Directory(Path(shop.repository.url)))) == ({""}, None)


def test_what_is_in_the_way_is_named(shop: Shop, perene: Perene) -> None:
    shop.sql(f"CREATE DATABASE {NAME}__old", "postgres")
    code, said = perene(*ONE)
    assert (code, f"{NAME}__old is there" in said) == (3, True)
    shop.sql(f"DROP DATABASE {NAME}__old", "postgres")
    shop.sql("BEGIN; INSERT INTO photo VALUES (7); PREPARE TRANSACTION 'left open'")
    code, said = perene(*ONE)
    shop.sql("ROLLBACK PREPARED 'left open'")
    assert (code, "left open" in said) == (3, True)


def test_a_run_that_died_before_its_copy_had_a_name_is_in_nobodys_way(shop: Shop, perene: Perene, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise Died

    for module, step in ((postgres, "set_comment"), (filling, "fill")):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, dies)
            with pytest.raises(Died):
                perene(*ONE)
    code, said = perene(*ONE)
    assert code == 0, said
    assert not shop.sql("SELECT datname FROM pg_database WHERE datname LIKE 'perene_making%'", "postgres")


def test_a_refused_login_touches_nothing(shop: Shop, perene: Perene) -> None:
    main = shop.tier.stores["main"].model_copy(update={"logins": {"admin": Login(user="nobody")}})
    code, said = perene(*ONE, document=shop.tier.model_copy(update={"stores": {"main": main}}))
    assert (code, "PostgreSQL cannot be reached" in said) == (3, True)
    assert (shop.databases(), journal.read(Directory(Path(shop.repository.url)))) == ({""}, None)


def test_an_exchange_of_names_is_whole_or_not_at_all(shop: Shop) -> None:
    for name in ("shop_b", "shop_b__new", "shop__new"):
        shop.sql(f"CREATE DATABASE {name}", "postgres")
    moves = [
        (NAME, "shop__old", "a"),
        ("shop__new", NAME, "b"),
        ("shop_b", "shop_b__old", "c"),
        ("shop_gone", "shop_b", "d"),
    ]
    with shop.server.connect(NAME), pytest.raises(Exception, match="shop_gone"):
        names.rename(shop.server, moves)
    assert shop.databases() == {"", "__new", "_b", "_b__new"}
    assert record(shop)[3] == "the shop"


def test_a_mark_keeps_the_comment() -> None:
    mark = Mark("20261124T010000Z-abcdef", "restored", "two\nlines")
    assert Mark.parse(str(mark)) == mark
    assert Mark.parse("perene is a word") == Mark("", "", "perene is a word")


def test_safety_sets_are_kept_two_weeks_and_never_count_as_sets(shop: Shop) -> None:
    day = sets.began(shop.made.id)

    def make(age: int, reason: str = "") -> sets.OnHand:
        return sets.OnHand(f"{age}", day - timedelta(days=age), False, (), reason)

    plan = retention.plan([make(0), make(1, "pre-restore"), make(15, "pre-restore"), make(20)], {"daily": 1}, day)
    assert set(plan.keep) == {"0", "1", "20"}, "the newest two of the schedule, and the safety set of yesterday"
    assert [one.id for one in plan.remove] == ["15"]
