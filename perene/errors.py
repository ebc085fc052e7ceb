"""Errors that a person can act on: what, where, why, and how to fix it. Never a secret's value."""

from collections.abc import Sequence
from dataclasses import dataclass

from perene.exit_codes import ExitCode


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    what: the fault in one sentence; where: file and path, resource or command; why: what would happen; fix: what to type.
    """

    what: str
    where: str = ""
    why: str = ""
    fix: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  fix: {self.fix}"] if self.fix else []
        return "\n".join(lines)


class PereneError(Exception):
    """A failure with all its problems at once and the exit code of the command that met it."""

    def __init__(
        self,
        what: str = "",
        *,
        where: str = "",
        why: str = "",
        fix: str = "",
        problems: Sequence[Problem] = (),
        exit_code: ExitCode = ExitCode.FAILED,
    ) -> None:
        self.problems = tuple(problems) or (Problem(what=what, where=where, why=why, fix=fix),)
        self.exit_code = exit_code
        super().__init__("\n".join(map(str, self.problems)))


def together(failures: Sequence[PereneError]) -> PereneError:
    """Several failures as one, each problem once, with the first one's exit code."""
    problems = dict.fromkeys(problem for failure in failures for problem in failure.problems)
    return PereneError(problems=tuple(problems), exit_code=failures[0].exit_code)
