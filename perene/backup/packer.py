"""What restic runs to back up a command's output: `python packer.py COUNT COMMAND..` packs what the command writes onto its own output.

It fails when the command or its packing fails, so that restic keeps no snapshot. COUNT: a file for the number of bytes before packing,
kept up to date.
"""

import fcntl
import os
import subprocess
import sys
from contextlib import suppress
from typing import IO, TextIO

PACK = ("zstd", "--quiet", "-1", "-T1", "--rsyncable", "-B1048576", "--stdout")
PIECE = 1 << 20


def main(count: str, *command: str) -> None:
    """Run, and end the process."""
    done, whole = 0, False
    told = os.open(count, os.O_WRONLY | os.O_CREAT, 0o600)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer, subprocess.Popen(PACK, stdin=subprocess.PIPE) as packer:
        if writer.stdout is None or packer.stdin is None:
            raise RuntimeError("no pipes")
        for pipe in (writer.stdout, packer.stdin, sys.stdout):
            roomy(pipe)
        # From pipe to pipe without a copy. Whichever end goes away says itself why.
        with suppress(BrokenPipeError):
            while moved := os.splice(writer.stdout.fileno(), packer.stdin.fileno(), PIECE):
                done += moved
                os.pwrite(told, f"{done:020d}".encode(), 0)
            whole = True
        packer.stdin.close()
        writer.stdout.close()
    # A packer that is gone takes the command with it: it is named first.
    for program, code in ((PACK[0], packer.returncode), (command[0], writer.returncode)):
        if code:
            sys.exit(f"{program} ended with {code}")
    sys.exit(0 if whole else f"{PACK[0]} did not read everything")


def roomy(pipe: IO[bytes] | TextIO) -> None:
    """Room between two programs that both compute, so that they do not wait for each other. Who may not have more goes on with less."""
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIECE)


if __name__ == "__main__":
    main(*sys.argv[1:])
