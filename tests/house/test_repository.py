"""Nothing of a particular machine stands in the repository."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(r"(?<![\w.])/(?:work|root)/(?:main|wt|venv|shared|engine|bin|\.library|\.mirror|go|\.cache)")


def test_no_path_of_a_machine_is_committed() -> None:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    found = []
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".gz", ".zst", ".png"} and path != Path(__file__):
            found += [f"{name}: {hit}" for hit in FORBIDDEN.findall(path.read_text(errors="replace"))]
    assert not found, found
