"""One table of exit codes for every command (design section 10)."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means; a crash is FAILED."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CANNOT_TELL = 3
    WEAKENS = 4
    LOSES_DATA = 5
    NOT_PROVEN = 6
    INTERRUPTED = 130


MEANING: dict[ExitCode, str] = {
    ExitCode.DONE: "done; nothing worse than a visible interruption",
    ExitCode.FAILED: "failed (a crash too)",
    ExitCode.USAGE: "wrong usage",
    ExitCode.CANNOT_TELL: "cannot tell, or refused to start",
    ExitCode.WEAKENS: "the change weakens a protection",
    ExitCode.LOSES_DATA: "the change loses data",
    ExitCode.NOT_PROVEN: "a proof failed: the restore differs, the drill failed, the key does not open",
    ExitCode.INTERRUPTED: "interrupted",
}
