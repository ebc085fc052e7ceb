"""A command's output, packed by zstd on its way into the repository, and unpacked on its way back.

restic's own compression takes more processor time than everything else in a backup together (docs/adr/0051); zstd's fastest level takes a
quarter of it, and restic then has less to read. `--rsyncable` starts anew wherever the content says so: what did not change packs to the
same bytes wherever it stands, so that restic finds it. The same bytes come of the same content however it arrives.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from perene.backup import packer

# What is packed says so by its name.
SUFFIX = ".zst"
WHAT = "unpacking what was backed up"
UNPACK = ("zstd", "--quiet", "--decompress", "--stdout")


def packing(command: Sequence[str], count: Path) -> list[str]:
    """The command whose output is that of `command`, packed. count: a file for the number of bytes before packing."""
    return [sys.executable, "-I", "-S", packer.__file__, str(count), *command]
