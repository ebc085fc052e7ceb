"""Image archives: the same input gives the same bytes, and the digests inside are true."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from perene.local import archive, images

SETTINGS = archive.Settings(command=("/x",), environment=("A=1",), user="10001:10001", stop_signal="SIGINT", labels=(("f", "debian-13"),))


def build(directory: Path, content: bytes) -> Path:
    directory.mkdir()
    (directory / "x").write_bytes(content)
    os.utime(directory / "x", (len(content), 5))
    archive.write_layer(directory / "layer.tar", {"x": directory / "x"}, moment=1000)
    archive.write_image(directory / "image.tar", directory / "layer.tar", "perene.local/x:1", SETTINGS, moment=1000)
    return directory / "image.tar"


def test_the_same_files_give_the_same_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    first, second = build(tmp_path / "a", b"same"), build(tmp_path / "b", b"same")
    assert first.read_bytes() == second.read_bytes()
    assert build(tmp_path / "c", b"other").read_bytes() != first.read_bytes()


def test_every_digest_in_the_archive_is_that_of_the_content(tmp_path: Path) -> None:
    with tarfile.open(build(tmp_path / "a", b"content")) as tar:
        members = {entry.name: (tar.extractfile(entry) or pytest.fail(entry.name)).read() for entry in tar}
    (manifest,) = json.loads(members["manifest.json"])
    config = json.loads(members[manifest["Config"]])
    layer = hashlib.sha256(members[manifest["Layers"][0]]).hexdigest()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer}"]
    assert manifest["Config"] == f"{hashlib.sha256(members[manifest['Config']]).hexdigest()}.json"
    assert manifest["RepoTags"] == ["perene.local/x:1"]
    assert config["config"]["StopSignal"] == "SIGINT"


@pytest.mark.parametrize("name", sorted(path.parent.name for path in images.DEFINITIONS.glob("*/image.toml")))
def test_every_definition_is_read_and_names_its_family(name: str) -> None:
    image = images.definition(name)
    assert image.reference.startswith("perene.local/"), "a local reference can never be pulled by mistake"
    assert dict(image.settings.labels)[images.FAMILY_LABEL] == image.family
    assert image.uid >= 10000 or not image.suite, "a low uid may belong to somebody on the host"


def test_a_changed_definition_is_another_cached_image(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    text = (images.DEFINITIONS / "postgres" / "image.toml").read_text()
    (tmp_path / "x" / "image.toml").write_text(text)
    before = images.definition("x", tmp_path).cached
    (tmp_path / "x" / "image.toml").write_text(text + "# changed\n")
    assert images.definition("x", tmp_path).cached != before
