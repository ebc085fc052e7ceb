"""What is missing on this machine is listed in the summary, never skipped in silence; no test starts a program that it did not ask for."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import programs

programs.on_path()
# Of the test that runs now: which programs it asked for, and which it started all the same. Between tests nobody is asked.
_running: dict[str, set[str]] = {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "probes: starts whatever programs are there, and says itself what is not")
    config.addinivalue_line("markers", "needs(*programs): programs that the test starts (tests.programs.needs)")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _running.clear()
    asked = programs.asked_by(item)
    if absent := sorted(program for program in asked if programs.missing(program)):
        pytest.skip(f"not installed: {', '.join(f'{name} (Debian: {programs.PROGRAMS[name]})' for name in absent)}")
    # What runs on a cluster of its own starts what a machine for it has.
    if "e2e" not in item.path.parts and not item.get_closest_marker("probes"):
        _running.update(asked=asked, unasked=set())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    try:
        return (yield)
    finally:
        unasked = _running.get("unasked")
        _running.clear()
        if unasked:
            pytest.fail(f"starts without asking, by tests.programs.needs: {', '.join(sorted(unasked))}", pytrace=False)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _running:
        words = [os.fsdecode(word) for word in arguments[1]]
        if found := programs.started(_running["asked"], words, (arguments[3] or os.environ).get("PATH")):
            _running["unasked"].add(found)


sys.addaudithook(_audit)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: dict[str, int] = {}
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] = reasons.get(reason.removeprefix("Skipped: "), 0) + 1
    if reasons:
        terminalreporter.section("not run on this machine")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:4d}  {reason}")
    if listing := os.environ.get("PERENE_NOT_RUN"):
        Path(listing).write_text("".join(f"{name}\n" for name in sorted({report.nodeid for report in skipped})))
