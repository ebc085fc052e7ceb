"""What restic runs to back up a command's output: `python packer.py COUNT COMMAND..` packs what the command writes onto its own output.

It fails when the command or its packing fails, so that restic keeps no snapshot. COUNT: a file for the number of bytes before packing.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PACK = ("zstd", "--quiet", "-1", "-T1", "--rsyncable", "-B1048576", "--stdout")
PIECE = 1 << 20


def main(count: str, *command: str) -> None:
    """Run, and end the process."""
    done, whole = 0, False
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer, subprocess.Popen(PACK, stdin=subprocess.PIPE) as packer:
        if writer.stdout is None or packer.stdin is None:
            raise RuntimeError("no pipes")
        # From pipe to pipe without a copy. Whichever end goes away says itself why.
        with suppress(BrokenPipeError):
            while moved := os.splice(writer.stdout.fileno(), packer.stdin.fileno(), PIECE):
                done += moved
            whole = True
        packer.stdin.close()
        writer.stdout.close()
    Path(count).write_text(str(done), encoding="ascii")
    # A packer that is gone takes the command with it: it is named first.
    for program, code in ((PACK[0], packer.returncode), (command[0], writer.returncode)):
        if code:
            sys.exit(f"{program} ended with {code}")
    sys.exit(0 if whole else f"{PACK[0]} did not read everything")


if __name__ == "__main__":
    main(*sys.argv[1:])
