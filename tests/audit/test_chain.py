"""No audit line is removed, changed, reordered or cut off unnoticed."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from perene.audit.chain import Chain, heads, lines, verify
from perene.audit.store import AlreadyExistsError, Store, open_store
from perene.cli.audit import app
from perene.contract.audit import AuditLine
from perene.errors import PereneError


class Memory(Store):
    """An object store that creates and reads, and that a test may damage behind its back."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        return self.objects[name]

    def create(self, name: str, content: bytes) -> None:
        if name in self.objects:
            raise AlreadyExistsError(name)
        self.objects[name] = content


def written(count: int = 6) -> Memory:
    store = Memory()
    for writer in ("operator", "perene-backup"):
        for number in range(count):
            Chain(store, writer).append("backup", stack="s-dev", subject=f"set {number}", result="done", actor="ana")
    return store


def kinds(store: Memory, anchors=()) -> set[str]:  # type: ignore[no-untyped-def]
    return {finding.kind for finding in verify(store, anchors)}


def test_a_whole_chain_has_no_findings() -> None:
    store = written()
    assert verify(store, heads(store)) == []
    assert [line.sequence for line in lines(store) if line.writer == "operator"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("sequence", [1, 3, 5])
def test_a_removed_line_is_found(sequence: int) -> None:
    store = written()
    del store.objects[f"audit/operator/{sequence:08d}.json"]
    assert "removed" in kinds(store)


def test_lines_cut_off_at_the_end_are_found_by_the_anchor_and_only_by_it() -> None:
    store = written()
    anchors = heads(store)
    del store.objects["audit/operator/00000006.json"]
    del store.objects["audit/operator/00000005.json"]
    assert kinds(store) == set(), "a shortened chain is a chain: that is what anchors are for"
    assert kinds(store, anchors) == {"cut off"}


def test_a_whole_chain_removed_is_found_by_the_anchor() -> None:
    store = written()
    anchors = heads(store)
    for name in store.names("audit/operator/"):
        del store.objects[name]
    assert kinds(store, anchors) == {"cut off"}


def test_two_lines_that_changed_places_are_found() -> None:
    store = written()
    first, second = "audit/operator/00000002.json", "audit/operator/00000004.json"
    store.objects[first], store.objects[second] = store.objects[second], store.objects[first]
    assert "reordered" in kinds(store)


def test_a_line_of_another_writer_is_found() -> None:
    store = written()
    store.objects["audit/operator/00000002.json"] = store.objects["audit/perene-backup/00000002.json"]
    assert "reordered" in kinds(store)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_field_of_any_line_is_found(data: st.DataObject) -> None:
    store = written(3)
    name = data.draw(st.sampled_from(store.names("audit/")))
    line = json.loads(store.objects[name])
    field = data.draw(st.sampled_from(sorted(line)))
    line[field] = {"details": {"planted": "x"}, "sequence": line["sequence"] + 1, "result": "failed"}.get(field, str(line[field]) + "x")
    store.objects[name] = json.dumps(line).encode()
    assert kinds(store), f"{field} of {name} was changed"


def test_a_chain_written_anew_with_right_hashes_is_found_by_the_anchor() -> None:
    store = written()
    anchors = heads(store)
    forged = Memory()
    for number in range(6):
        Chain(forged, "operator").append("backup", stack="s-dev", subject=f"other {number}", result="done", actor="mallory")
    store.objects |= forged.objects
    assert kinds(store) == set()
    assert kinds(store, anchors) == {"changed"}


def test_a_changed_line_whose_hash_was_computed_anew_is_found_by_the_next() -> None:
    store = written()
    name = "audit/operator/00000003.json"
    line = AuditLine.model_validate_json(store.objects[name]).model_copy(update={"subject": "set 99"})
    store.objects[name] = line.model_copy(update={"hash": line.computed()}).model_dump_json().encode()
    assert "changed" in kinds(store)


def test_two_processes_of_one_writer_share_the_chain_without_a_gap(tmp_path: Path) -> None:
    def work() -> None:
        for number in range(10):
            Chain(open_store(str(tmp_path)), "operator").append("drill", stack="s-dev", subject=str(number), result="done")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_store(str(tmp_path))
    assert sorted(line.sequence for line in lines(store)) == list(range(1, 31))
    assert verify(store, heads(store)) == []


def test_a_directory_store_never_overwrites_and_leaves_no_half_object(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("audit/a/00000001.json", b"one")
    with pytest.raises(AlreadyExistsError):
        store.create("audit/a/00000001.json", b"two")
    assert store.read("audit/a/00000001.json") == b"one"
    assert [path.name for path in (tmp_path / "audit/a").iterdir()] == ["00000001.json"]
    assert ((tmp_path / "audit/a/00000001.json").stat().st_mode & 0o777) == 0o440


def test_an_unreadable_store_is_an_error_and_not_an_empty_audit(tmp_path: Path) -> None:
    with pytest.raises(PereneError, match="it is not there"):
        verify(open_store(str(tmp_path / "gone")))


def test_the_command_says_whole_then_names_the_damage_and_exits_6(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for number in range(3):
        Chain(store, "operator").append("restore", stack="s-dev", subject=f"set {number}", result="done")
    anchor = tmp_path / "anchor.json"
    anchor.write_text(heads(store)[0].to_json())
    good = CliRunner().invoke(app, ["verify", str(tmp_path / "."), "--anchor", str(anchor)])
    anchor_only = [line for line in good.output.splitlines() if "foreign" in line]
    assert (good.exit_code, anchor_only) == (0, []), good.output
    (tmp_path / "audit/operator/00000003.json").unlink()
    bad = CliRunner().invoke(app, ["verify", str(tmp_path), "--anchor", str(anchor)])
    assert bad.exit_code == 6
    assert "cut off: operator" in bad.output
