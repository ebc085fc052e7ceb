"""Debian 13's servers for the examples, and their applications as a person starts them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perene.backup.postgres.server import Server
from perene.drill.scratch import scratch
from tests.programs import needs

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@needs("postgres")
@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch(settings={"wal_level": "replica"}) as running:
        yield running


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Run:
    """`python examples/NAME/app.py WORDS`, NAME being the test module's."""
    file = ROOT / "examples" / request.module.__name__.rpartition("test_")[2] / "app.py"

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, str(file), *words], capture_output=True, text=True, check=False, timeout=120)

    return run
