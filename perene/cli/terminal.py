"""Asking a person."""

import sys

from perene.errors import PereneError
from perene.exit_codes import ExitCode


def typed(question: str) -> str:
    """What a person types; "" where nobody can."""
    if not sys.stdin.isatty():
        return ""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def one_of(option: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """The value, when it is one of those that an option may have; PereneError (exit 2) else."""
    if value is not None and value not in allowed:
        raise PereneError(f"{option} may be {' or '.join(allowed)}, not {value!r}", exit_code=ExitCode.USAGE)
    return value


def confirmed(name: str, given: str | None, what: str) -> None:
    """The name of what is about to go must be given or typed; PereneError (exit 3) else."""
    answer = given if given is not None else typed(f"{what} Type {name} to go on: ")
    if answer != name:
        raise PereneError(
            f"{name} was not confirmed: nothing was touched",
            fix=f"type the name, or give --confirm {name}",
            exit_code=ExitCode.CANNOT_TELL,
        )
