"""One cluster for all: a copy of the checkout with a tier of its own, brought up once by `make up`, gone when the session ends.

PERENE_E2E_KEEP=1 leaves it for looking around; PERENE_E2E_DIR says where the copy lies (default: /var/tmp).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from perene.engine.target import of_stack
from tests.e2e.systems import TIMES, chosen, table
from tests.e2e.tier import ROOT, Tier


@pytest.fixture(scope="session")
def tier() -> Iterator[Tier]:
    """The dev tier of a copy of this checkout, up, with the test's own rows in it."""
    if os.geteuid() != 0:
        pytest.skip("not root: the tier on a cluster was not brought up")
    directory = Path(os.environ.get("PERENE_E2E_DIR", "/var/tmp")) / f"perene-e2e-{os.getpid()}"
    found = Tier(directory)
    found.copy(ROOT)
    try:
        found.first_up = found.make("up")
        assert found.first_up.returncode == 0, found.first_up.stderr
        found.write_rows()
        yield found
    finally:
        if not os.environ.get("PERENE_E2E_KEEP"):
            found.remove()


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The cluster of PERENE_E2E_KUBECONFIG, else the one of the tier under test, whose kubectl comes first on PATH."""
    named = os.environ.get("PERENE_E2E_KUBECONFIG")
    if named:
        return Path(named)
    tier: Tier = request.getfixturevalue("tier")
    where = of_stack(tier.root, tier.stack)
    os.environ["PATH"] = f"{Path(where.kubectl).parent}{os.pathsep}{os.environ['PATH']}"
    return where.kubeconfig


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    times = terminalreporter.config.stash.get(TIMES, {})
    if times:
        names, why = chosen()
        terminalreporter.section(f"the systems {', '.join(names)} ({why}), seconds")
        terminalreporter.write_line(table(times))
