"""Image archives: the same input gives the same bytes, and the digests inside are true."""

import hashlib
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from infra.tier import LOCAL_IMAGES
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import archive, images, layers

SETTINGS = archive.Settings(command=("/x",), environment=("A=1",), user="10001:10001", stop_signal="SIGINT", labels=(("f", "debian-13"),))


def build(directory: Path, content: bytes) -> Path:
    directory.mkdir()
    (directory / "x").write_bytes(content)
    os.utime(directory / "x", (len(content), 5))
    archive.write_layer(directory / "layer.tar", {"x": directory / "x"}, moment=1000)
    archive.write_image(directory / "image.tar", [directory / "layer.tar"], "perene.local/x:1", SETTINGS, moment=1000)
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
    assert image.packages is None or image.packages.uid >= 10000, "a low uid may belong to somebody on the host"


def test_the_program_names_the_images_that_are_defined_here() -> None:
    defined = {path.parent.name: images.definition(path.parent.name).reference for path in images.DEFINITIONS.glob("*/image.toml")}
    assert LOCAL_IMAGES.items() <= defined.items()


def test_a_program_that_no_archive_has_is_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(layers, "packages", lambda *_: layers.program(Path("/bin/true"), "bin/base"))
    monkeypatch.delenv("PERENE_QDRANT", raising=False)
    with pytest.raises(PereneError, match="PERENE_QDRANT") as missing:
        images.ensure("qdrant")
    assert missing.value.exit_code == ExitCode.CANNOT_TELL
    monkeypatch.setenv("PERENE_QDRANT", "/bin/ls")
    with tarfile.open(images.ensure("qdrant")) as tar:
        (manifest,) = json.loads((tar.extractfile("manifest.json") or pytest.fail("no manifest")).read())
        layer = tar.extractfile(manifest["Layers"][-1])
        with tarfile.open(fileobj=layer) as content:
            assert [(entry.name, entry.mode) for entry in content] == [("usr/local/bin/qdrant", 0o755)]


def test_a_changed_list_of_packages_is_another_cached_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENE_DEBIAN_MIRROR", "http://archive.example/debian")
    monkeypatch.setenv("PERENE_DEBIAN_SECURITY_MIRROR", "http://archive.example/debian-security")
    wanted = images.definition("postgres").packages
    assert wanted
    more = replace(wanted, packages=(*wanted.packages, "postgresql-17-pgvector"))
    assert layers.digest(layers.recipe(wanted, Path("x"))) != layers.digest(layers.recipe(more, Path("x")))


def test_our_own_sources_are_a_layer_without_caches_and_follow_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    top = tmp_path / "tool"
    (top / "__pycache__").mkdir(parents=True)
    (top / "__pycache__" / "a.pyc").write_bytes(b"x")
    (top / "a.py").write_text("first")
    python = layers.Python(version="3.13", requirements=tmp_path / "none", sources=(top,))
    before = layers.sources(python)
    with tarfile.open(before) as tar:
        assert tar.getnames() == ["opt/perene/lib/tool/a.py"]
    assert layers.sources(python) == before
    (top / "a.py").write_text("second")
    assert layers.sources(python) != before
