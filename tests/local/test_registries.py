"""Addresses of registries come from the clients' own settings."""

from pathlib import Path

import pytest

from perene.errors import PereneError
from perene.local import registries
from tests.programs import PROBES

pytestmark = PROBES


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with an apt-get and a go that answer what a test has written into files beside them."""
    for tool in ("apt-get", "go"):
        program = tmp_path / tool
        program.write_text(f'#!/bin/sh\ncat "{tmp_path}/{tool}.says" 2>/dev/null\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("PERENE_DEBIAN_MIRROR", "PERENE_DEBIAN_SECURITY_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_hosts_are_what_the_clients_name(clients: Path) -> None:
    (clients / "apt-get.says").write_text("http://archive.example/debian\nhttp://archive.example/debian-security\n")
    (clients / "go.says").write_text("https://modules.example,direct\nsums.example\n")
    assert {"archive.example", "modules.example", "sums.example"} <= registries.hosts()
    assert "direct" not in registries.hosts()


def test_the_security_archive_is_told_apart(clients: Path) -> None:
    (clients / "apt-get.says").write_text("http://a.example/debian-security\nhttp://a.example/debian\nhttp://a.example/debian\n")
    assert registries.debian_mirrors() == ("http://a.example/debian", "http://a.example/debian-security")


def test_one_archive_serves_for_both_where_there_is_no_other(clients: Path) -> None:
    (clients / "apt-get.says").write_text("http://a.example/debian\n")
    assert registries.debian_mirrors() == ("http://a.example/debian",) * 2


def test_without_any_archive_it_says_what_to_do(clients: Path) -> None:
    with pytest.raises(PereneError, match="PERENE_DEBIAN_MIRROR"):
        registries.debian_mirrors()
