"""A command's output, packed by zstd on its way into the repository, and unpacked on its way back.

restic's own compression takes more processor time than everything else in a backup together (docs/adr/0051); zstd's fastest level takes a
quarter of it, and restic then has less to read. `--rsyncable` starts anew wherever the content says so: what did not change packs to the
same bytes wherever it stands, so that restic finds it. The same bytes come of the same content however it arrives.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from perene.backup import packer, process
from perene.errors import PereneError

# What is packed says so by its name.
SUFFIX = ".zst"
UNPACK = ("zstd", "--quiet", "--decompress", "--stdout")


def packing(command: Sequence[str], count: Path) -> list[str]:
    """The command whose output is that of `command`, packed. count: a file for the number of bytes before packing."""
    return [sys.executable, "-I", "-S", packer.__file__, str(count), *command]


@contextmanager
def unpacking(out: IO[bytes]) -> Iterator[IO[bytes]]:
    """What is written into this is unpacked into the file `out`; PereneError at the end when it does not unpack."""
    with process.filtering(UNPACK, what="unpacking what was backed up", stdout=out) as (child, ended):
        into = cast(IO[bytes], child.stdin)
        packer.roomy(into)
        failures = []
        try:
            yield into
        except PereneError as failure:
            # Who writes into a pipe that is gone cannot say why, and who unpacks what was cut short cannot either: both are heard.
            failures.append(failure)
        finally:
            with suppress(OSError):
                into.close()
            broken = ended()
        if broken:
            failures.append(broken)
        if failures:
            raise PereneError(problems=[problem for one in failures for problem in one.problems], exit_code=failures[0].exit_code)
