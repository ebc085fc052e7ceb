"""Starting a restore that is to be killed, and what must be so afterwards."""

import subprocess
import sys
from pathlib import Path

from perene.restore import in_place
from tests.restore.conftest import Shop, quiet

ROOT = Path(__file__).parents[2]


def start(shop: Shop, folder: Path, step: str = "") -> "subprocess.Popen[str]":
    """A restore in place of the whole shop; step: where it dies (empty: it does not)."""
    (folder / "tier.json").write_text(shop.tier.to_json())
    words = [sys.executable, "-m", "tests.restore.killed", str(folder / "tier.json"), step]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole(shop: Shop, folder: Path) -> list[str]:
    """Run a restore to its end; its steps."""
    run = start(shop, folder)
    said, wrong = run.communicate()
    assert run.returncode == 0, wrong
    return said.splitlines()


def old_or_new(shop: Shop) -> tuple[str, str]:
    """What is live of database and files; fails on a mixture, and on a database that is closed or gone."""
    state = shop.state
    assert set(state) <= {"old", "new"}, state
    return state


def finished(shop: Shop, folder: Path) -> None:
    """The same command once more ends well, and nothing is left beside the new data when it is finished."""
    whole(shop, folder)
    assert shop.state == ("new", "new")
    assert shop.databases() == {"", "__old"}
    in_place.Run(shop.tier, shop.repository, quiet()).finish()
    assert (shop.state, shop.databases()) == (("new", "new"), {""})
    assert [path.name for path in shop.files.parent.iterdir()] == ["uploads"]
