"""The pack as the engine runs it: `pulumi preview --policy-pack policy`. The rules are in `policy.rules`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from policy.pack import start

start()
