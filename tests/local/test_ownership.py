"""What belongs to a cluster is recognised exactly: nothing of another is touched."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from perene.local import cleanup, control_groups, processes
from perene.local.layout import Layout
from perene.local.processes import MARK, Process


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"], env={**os.environ, **environment}, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()  # after exec: before it, the environment is still the parent's
    return child


def test_a_process_with_the_same_id_but_another_start_or_boot_is_not_ours() -> None:
    child = sleeper()
    try:
        own = Process.of(child.pid)
        assert own.alive()
        for other in (replace(own, started=own.started + 1), replace(own, boot="another")):
            assert not other.alive()
            other.signal(signal.SIGKILL)
        assert child.poll() is None, "a process that only shares the id must never be killed"
        own.signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        assert not own.alive()
    finally:
        child.kill()


def test_a_process_that_ended_but_was_not_collected_counts_as_dead() -> None:
    child = sleeper()
    own = Process.of(child.pid)
    child.kill()
    assert own.wait(10), "a zombie runs nothing"
    child.wait()


def test_a_command_name_with_spaces_and_brackets_is_read(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) b (c) S 1 " + " ".join("0" for _ in range(17)) + " 4711 0 0\n")
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot\n")
    assert Process.of(7, tmp_path) == Process(7, 4711, "boot")


def test_strays_are_found_by_their_mark_and_another_instance_is_not() -> None:
    mine, other = sleeper(**{MARK: "aaaaaaaa"}), sleeper(**{MARK: "aaaaaaab"})
    try:
        assert [process.pid for process in processes.marked("aaaaaaaa")] == [mine.pid]
    finally:
        for child in (mine, other):
            child.kill()
            child.wait()


def test_a_record_survives_writing_and_a_torn_one_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    assert processes.load(path) is None
    path.write_text(Process(1, 2, "b").dump())
    assert processes.load(path) == Process(1, 2, "b")
    path.write_text('{"pid": 1')
    assert processes.load(path) is None


def test_only_loop_devices_over_this_clusters_images_are_its_own(tmp_path: Path) -> None:
    own, other = tmp_path / "own" / "a.img", tmp_path / "other" / "a.img"
    for image in (own, other):
        image.parent.mkdir()
        image.touch()
    disk = f"{os.major(own.stat().st_dev)}:{os.minor(own.stat().st_dev)}"
    rows = [("loop0", own.stat().st_ino, f" {disk}  "), ("loop1", other.stat().st_ino, disk), ("loop2", own.stat().st_ino, "254:99")]
    listing = json.dumps({"loopdevices": [{"name": name, "back-ino": inode, "back-maj:min": place} for name, inode, place in rows]})
    assert cleanup.own_loop_devices(listing, own.parent) == ["loop0"], "every node sees its images at the same path: only the inode tells"
    assert cleanup.own_loop_devices("", own.parent) == [], "losetup prints nothing when there is no device"


def test_two_checkouts_share_no_name_and_a_link_to_a_checkout_is_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    one, two, link = Layout(tmp_path / "a"), Layout(tmp_path / "b"), Layout(tmp_path / "link")
    assert len({one.name, two.name, one.link, two.link}) == 4
    assert link.name == one.name
    assert len(one.link) <= 15, "the kernel's limit for a link's name"


def test_state_is_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    modes = {path.stat().st_mode & 0o777 for path in (layout.private, *layout.private.rglob("*"))}
    assert modes == {0o700}


def test_control_group_hierarchies_of_both_versions_are_found() -> None:
    text = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ntmpfs /run tmpfs rw 0 0\n"
    assert control_groups.hierarchies(text) == [(Path("/sys/fs/cgroup/cpu"), "cgroup"), (Path("/sys/fs/cgroup/unified"), "cgroup2")]
