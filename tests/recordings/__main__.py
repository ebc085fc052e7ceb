"""`python -m tests.recordings STACK...`: record what the real engine registers (needs `pulumi` and the providers on PATH)."""

import sys

from perene.engine.stacks import stack_file
from tests.recordings import ROOT, path, record, write

for stack in sys.argv[1:]:
    write(stack, record(stack, stack_file(ROOT, stack)))
    sys.stdout.write(f"{path(stack).relative_to(ROOT)}\n")
