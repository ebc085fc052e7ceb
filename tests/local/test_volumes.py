"""The volumes loop against a recorded API: what it makes, grows and refuses (the real thing: tests/e2e/test_local.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perene.local import volumes
from perene.local.api import ApiError
from perene.local.quantity import of_bytes, to_bytes

MIB, GIB = 2**20, 2**30


class FakeApi:
    """Holds claims, records what is written."""

    def __init__(self, *claims: dict[str, Any]) -> None:
        self.claims, self.written = claims, []
        self.fail: ApiError | None = None

    def get(self, _: str) -> dict[str, Any]:
        return {"items": list(self.claims)}

    def call(self, _: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.written.append((path, body))
        if self.fail:
            raise self.fail
        return body

    def merge(self, path: str, patch: dict[str, Any]) -> dict[str, Any]:
        self.written.append((path, patch))
        return patch


def claim(size: str, *, phase: str = "Pending", capacity: str = "", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "data", "namespace": "ns", "uid": "u1"},
        "spec": {
            "storageClassName": "perene-local",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            **spec,
        },
        "status": {"phase": phase, **({"capacity": {"storage": capacity}} if capacity else {})},
    }


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[FakeApi, list[tuple[str, ...]]]]:
    """Run one pass over claims with the tools recorded instead of run (only truncate really happens)."""

    def run(*claims: dict[str, Any], free: int = 100 * GIB, fail: ApiError | None = None) -> tuple[FakeApi, list[tuple[str, ...]]]:
        commands: list[tuple[str, ...]] = []

        def record(*arguments: str) -> str:
            commands.append(arguments)
            if arguments[0] == "truncate":
                with Path(arguments[3]).open("ab") as stream:
                    stream.truncate(int(arguments[2]))
            return {"%a": str(free // 4096), "%S": "4096"}.get(arguments[3] if len(arguments) > 3 else "", "/dev/loop9\n")

        monkeypatch.setattr(volumes, "IMAGES", tmp_path)
        monkeypatch.setattr(volumes, "MOUNTS", tmp_path)
        monkeypatch.setattr(volumes, "command", record)
        api = FakeApi(*claims)
        api.fail = fail
        volumes.Volumes(api, lambda _: None).reconcile()  # type: ignore[arg-type]  # a recorder in the API's place
        return api, commands

    return run


def test_a_new_claim_gets_a_local_volume_of_its_size_that_is_retained(loop: Any) -> None:
    api, _ = loop(claim("1Gi"))
    ((path, volume),) = api.written
    assert path == "/api/v1/persistentvolumes"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert "local" in volume["spec"], "fsGroup applies to local volumes only"
    assert volume["spec"]["claimRef"]["uid"] == "u1", "a later claim of the same name must not get this volume"


def test_an_interrupted_provisioning_is_finished_without_making_the_file_system_again(loop: Any, tmp_path: Path) -> None:
    (tmp_path / "pvc-u1.img").write_bytes(b"data")
    api, commands = loop(claim("1Gi"), fail=ApiError(409, "already exists", where="POST"))
    assert len(api.written) == 1, "an existing volume of that name is no complaint"
    assert not any(words[0] in {"mkfs.xfs", "truncate"} for words in commands), "mkfs over an existing image would lose data"


def test_a_claim_below_the_file_systems_minimum_gets_the_minimum(loop: Any) -> None:
    api, _ = loop(claim("1Mi"))
    assert api.written[0][1]["spec"]["capacity"] == {"storage": "300Mi"}


def test_a_larger_request_grows_image_device_and_file_system_before_the_status_says_so(loop: Any, tmp_path: Path) -> None:
    (tmp_path / "v1.img").touch()
    api, commands = loop(claim("2Gi", phase="Bound", capacity="1Gi", volumeName="v1"))
    tools = [words[0] for words in commands]
    assert tools.index("truncate") < tools.index("losetup") < tools.index("xfs_growfs")
    assert (tmp_path / "v1.img").stat().st_size == 2 * GIB
    assert api.written[-1] == ("/api/v1/persistentvolumes/v1", {"spec": {"capacity": {"storage": "2Gi"}}})


def test_a_satisfied_claim_and_one_of_another_class_are_left_alone(loop: Any) -> None:
    api, commands = loop(claim("1Gi", phase="Bound", capacity="1Gi", volumeName="v"), claim("1Gi", storageClassName="other"))
    assert (api.written, commands) == ([], [])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"volumeMode": "Block"}, "no Block"),
        ({"accessModes": ["ReadWriteMany"]}, "ReadWriteOnce"),
        ({"dataSource": {"name": "x"}}, "dataSource"),
    ],
)
def test_what_cannot_be_served_is_told_on_the_claim(loop: Any, spec: dict[str, Any], message: str) -> None:
    api, commands = loop(claim("1Gi", **spec))
    ((path, event),) = api.written
    assert path.endswith("/events")
    assert message in event["message"]
    assert commands == []


def test_a_volume_larger_than_the_free_disk_is_refused(loop: Any, tmp_path: Path) -> None:
    api, _ = loop(claim("20Gi"), free=5 * GIB)
    assert "5Gi free" in api.written[0][1]["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "size"), [("1Gi", GIB), ("1.5Gi", 3 * GIB // 2), ("100G", 10**11), ("500Mi", 500 * MIB), ("1024", 1024)])
def test_quantities_are_read_exactly(text: str, size: int) -> None:
    assert to_bytes(text) == size
    assert to_bytes(of_bytes(size)) == size


@pytest.mark.parametrize("text", ["", "1GiB", "-1Gi", "1e3", "1 Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        to_bytes(text)
