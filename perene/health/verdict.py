"""One verdict out of many checks: run side by side, each within the time limit, told worst first."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from perene.errors import PereneError
from perene.exit_codes import ExitCode


class State(IntEnum):
    """How a thing stands, worst last."""

    FINE = 0
    WARNING = 1
    UNKNOWN = 2
    BAD = 3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. store: empty for the tier; next: the command to type, for all but what is fine."""

    state: State
    check: str
    what: str
    store: str = ""
    next: str = ""


Check = Callable[[], Iterable[Finding]]


def run(checks: Mapping[str, Check], seconds: float) -> list[Finding]:
    """Every check's findings, worst first. What has not answered in time is unknown, never fine; a check that breaks is unknown too."""
    answers: queue.Queue[tuple[str, list[Finding]]] = queue.Queue()

    def work(name: str, check: Check) -> None:
        try:
            answers.put((name, list(check())))
        except PereneError as error:
            problem = error.problems[0]
            what = f"{problem.where}: {problem.what}" if problem.where else problem.what
            answers.put((name, [Finding(state=State.UNKNOWN, check=name, what=what, next=problem.fix or "perene doctor")]))
        except Exception as broken:  # noqa: BLE001 - one broken check must not hide the verdict of the others
            what = f"the check itself broke: {type(broken).__name__}: {broken}"
            answers.put((name, [Finding(state=State.UNKNOWN, check=name, what=what, next="perene doctor")]))

    for name, check in checks.items():
        threading.Thread(target=work, args=(name, check), daemon=True, name=name).start()
    deadline = time.monotonic() + seconds
    missing, found = set(checks), []
    while missing:
        try:
            name, findings = answers.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            break
        missing.discard(name)
        found += findings
    late = f"no answer within {seconds:g} s"
    found += [Finding(state=State.UNKNOWN, check=name, what=late, next="ask again; then perene doctor") for name in sorted(missing)]
    return sorted(found, key=lambda finding: (-finding.state, finding.store, finding.check))


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """1 when something is bad, 3 when something could not be told, else 0."""
    worst = max((finding.state for finding in findings), default=State.UNKNOWN)
    return {State.BAD: ExitCode.FAILED, State.UNKNOWN: ExitCode.CANNOT_TELL}.get(worst, ExitCode.DONE)
