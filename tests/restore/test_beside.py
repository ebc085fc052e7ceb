"""`perene restore SET` beside what is there: nothing written over, and what differs has a name."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from perene.backup import sets
from perene.backup.postgres.server import of_uri
from perene.contract.recovery_set import Count, PostgresContent, RecoverySet, StoreSet
from perene.drill.scratch import scratch
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore.run import jobs
from tests.restore.conftest import NAME, ROWS, Shop, quiet, rewritten

Perene = Callable[..., tuple[int, str]]


def with_main(made: RecoverySet, **changes: object) -> RecoverySet:
    return made.model_copy(update={"stores": made.stores | {"main": made.stores["main"].model_copy(update=changes)}})


def content(store: StoreSet) -> PostgresContent:
    assert isinstance(store.content, PostgresContent)
    return store.content


def test_both_stores_come_back_beside_the_live_ones(shop: Shop, perene: Perene, tmp_path: Path) -> None:
    shop.spoil()
    code, said = perene("restore", "newest", "--to", str(tmp_path / "back"))
    assert code == 0, said
    stamp = shop.made.id.split("-")[0].lower()
    assert shop.databases() == {"", f"__{stamp}"}
    assert shop.sql("SELECT count(*) FROM photo", f"{NAME}__{stamp}") == [(ROWS,)]
    assert (tmp_path / "back" / "uploads" / "letter").read_text() == "dear"
    assert shop.state == ("old", "old"), "the live data is as it was"
    assert f"photo: {ROWS} rows" in said, "the configured counts are shown"
    again, refusal = perene("restore", "newest", "--store", "uploads", "--to", str(tmp_path / "back"))
    assert (again, "exists already" in refusal) == (1, True), "a restore never writes over anything"


def test_what_differs_is_named_by_table_rows_and_kind(shop: Shop, perene: Perene) -> None:
    def other(made: RecoverySet) -> RecoverySet:
        kept = content(made.stores["main"])
        prints = kept.databases[NAME]
        tables = {"public.photo": Count(rows=ROWS + 1, hash="1"), "public.audit_log": Count(rows=5, hash="2")}
        changed = prints.model_copy(update={"tables": tables})
        return with_main(made, content=kept.model_copy(update={"databases": {NAME: changed}}))

    rewritten(shop, other)
    code, said = perene("restore", shop.made.id, "--store", "main")
    assert code == 6
    assert f"rows {NAME}: public.photo: expected {ROWS + 1} rows, found {ROWS} rows" in said
    assert f"table {NAME}: public.audit_log: expected 5 rows, found absent" in said


def test_too_few_rows_of_a_configured_count_are_no_proof(shop: Shop, perene: Perene) -> None:
    stricter = shop.tier.stores["main"].checks[0].model_copy(update={"at_least": ROWS + 1})
    main = shop.tier.stores["main"].model_copy(update={"checks": (stricter,)})
    code, said = perene("restore", "newest", "--store", "main", document=shop.tier.model_copy(update={"stores": {"main": main}}))
    assert code == 6
    assert f"photo has {ROWS} rows, at least {ROWS + 1} are wanted" in said


def test_a_server_without_room_is_found_before_anything_is_fetched(shop: Shop, perene: Perene) -> None:
    huge = content(shop.made.stores["main"]).model_copy(update={"sizes": {NAME: 10**15}})
    rewritten(shop, lambda made: with_main(made, content=huge))
    code, said = perene("restore", shop.made.id, "--store", "main")
    assert code == 3
    assert "1100004.29 GB are needed on the server" in said, "a tenth more, and its log"
    assert shop.databases() == {""}


def test_a_work_directory_without_room_is_found_before_a_scratch_server_is_made(shop: Shop, tmp_path: Path) -> None:
    huge = content(shop.made.stores["main"]).model_copy(update={"sizes": {NAME: 10**15}})
    made = with_main(shop.made, content=huge)
    restorer, job = jobs(made, shop.repository, stores=shop.tier.stores, work=tmp_path, stages=quiet())["main"]
    with pytest.raises(PereneError) as refused:
        restorer.scratch(job)
    assert refused.value.exit_code == ExitCode.CANNOT_TELL
    assert "1100004.72 GB are needed" in str(refused.value), "with its log"
    assert "--work" in str(refused.value)
    assert not list(tmp_path.glob("perene-*"))


def test_the_manifest_of_a_set_that_is_not_wanted_need_not_be_readable(shop: Shop) -> None:
    tags = {"set": "29990101T000000Z-000000", "part": "manifest", "reason": "safety"}
    shop.repository.backup_bytes(b"{}", path="/manifest.json", tags=tags)
    assert sets.load(shop.repository, "newest").id == shop.made.id


def test_a_set_that_misses_a_part_is_refused_before_anything_is_restored(shop: Shop, perene: Perene) -> None:
    shop.repository.forget([shop.repository.find(f"/main.{NAME}.dump.zst", set=shop.made.id).id])
    code, said = perene("restore", "newest", "--to", "/nowhere")
    assert code == 3
    assert f"{NAME} of main is not in the repository" in said
    assert shop.databases() == {""}


def test_a_store_comes_back_on_another_server_under_its_own_name(
    shop: Shop, perene: Perene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch() as other:
        with other.connect("postgres", autocommit=True) as admin:
            admin.execute("CREATE ROLE restorer SUPERUSER LOGIN PASSWORD 'by file only'")
            data = admin.execute("SHOW data_directory").fetchall()[0][0]
            Path(str(data), "pg_hba.conf").write_text("local all restorer scram-sha-256\nlocal all all trust\n")
            admin.execute("SELECT pg_reload_conf()")
        uri = f"postgresql://restorer@{quote(other.host, safe='')}:{other.port}"
        refused, said = perene("restore", "newest", "--store", "main", "--to", uri)
        assert refused == 3, said
        passwords = tmp_path / "pgpass"
        passwords.write_text("*:*:*:restorer:by file only\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        code, said = perene("restore", "newest", "--store", "main", "--to", uri)
        assert code == 0, said
        with other.connect(NAME) as there:
            assert there.execute("SELECT count(*) FROM public.photo").fetchall() == [(ROWS,)]


def test_a_server_is_named_without_a_password_and_with_a_certificate() -> None:
    with pytest.raises(PereneError, match="holds a password"):
        of_uri("postgresql://admin:secret@db.example")
    with pytest.raises(PereneError, match="must be verified") as refused:
        of_uri("postgresql://admin:secret@db.example")
    assert "secret" not in str(refused.value)
    found = of_uri("postgresql://admin@db.example:5433?sslrootcert=/ca.crt")
    assert (found.host, found.port, found.user, os.fspath(found.ca or "")) == ("db.example", 5433, "admin", "/ca.crt")
