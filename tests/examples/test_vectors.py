"""Vectors: collections made again by a command that skips what exists; what was acknowledged is asked for, point by point."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.contract.tier import CommandRebuild
from perene.errors import PereneError
from perene.rebuild.command import rebuild
from tests.examples import qdrant
from tests.examples.conftest import ROOT, Run
from tests.examples.qdrant import Qdrant

COLLECTIONS = {"documents": {"size": 8, "distance": "Cosine"}, "images": {"size": 4, "distance": "Dot"}}
ALIASES = {"search": "documents"}
WANTED = ("--collections", json.dumps(COLLECTIONS), "--aliases", json.dumps(ALIASES))


@pytest.fixture
def double() -> Iterator[tuple[Qdrant, str]]:
    with qdrant.serve() as served:
        yield served


def test_the_collections_are_rebuilt_and_what_exists_is_left_alone(double: tuple[Qdrant, str]) -> None:
    server, address = double
    app = str(ROOT / "examples/vectors/app.py")
    where = ("--url", address, *WANTED)
    settings = CommandRebuild(command=(sys.executable, app, "setup", *where), check=(sys.executable, app, "check", *where), limit="1m")
    server.collections["images"] = {"vectors": COLLECTIONS["images"], "points": {1: {}}}
    assert rebuild(settings, ROOT) is not None
    assert server.made == ["documents"]
    assert server.collections["images"]["points"] == {1: {}}
    assert server.aliases == ALIASES
    assert rebuild(settings, ROOT) is None, "a second run has nothing to do"
    server.collections["documents"]["vectors"] = {"size": 9, "distance": "Cosine"}
    with pytest.raises(PereneError, match=r"collection documents is \(9, 'Cosine'\)"):
        rebuild(settings, ROOT)


def test_only_what_was_acknowledged_is_in_the_log_and_a_lost_point_is_found(double: tuple[Qdrant, str], app: Run, tmp_path: Path) -> None:
    server, address = double
    log = tmp_path / "log"
    app("setup", "--url", address, *WANTED)
    server.fails = 2
    assert app("write", "--url", address, *WANTED, "--log", str(log), "--points", "250").returncode == 0
    kept = app("verify", "--url", address, "--log", str(log))
    assert json.loads(kept.stdout) | {"content": ""} == {"acknowledged": 250, "lost": 0, "first lost": [], "content": ""}
    assert app("write", "--url", address, *WANTED, "--log", str(log), "--points", "50").returncode == 0
    assert sum(len(one["points"]) for one in server.collections.values()) == 300, "it goes on after what the log names"
    del server.collections["images"]["points"][150]
    found = app("verify", "--url", address, "--log", str(log))
    assert found.returncode == 6
    assert json.loads(found.stdout)["first lost"] == ["images 150"]
