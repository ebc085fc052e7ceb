"""A preview of 10,000 steps and 100 MB: at most 3 seconds of work and 1 GB."""

import json
import subprocess
import sys
from pathlib import Path

from tests.safety import recorded

ROOT = Path(__file__).parents[2]
MEASURE = """
import resource, sys, time
from pathlib import Path
from perene.safety import gate, reading
begin = time.process_time()
verdict = gate.judge(reading.read_steps(Path(sys.argv[1])))
print(len(verdict.findings), time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def big_preview(path: Path) -> None:
    document = recorded.document("cloudsql-log-days-30-to-7.json")
    update = next(step for step in document["steps"] if step["op"] == "update")
    same = [step for step in document["steps"] if step["op"] == "same" and step["oldState"].get("inputs")]
    steps = []
    for number in range(10_000):
        step = json.loads(json.dumps(update if number % 10 == 0 else same[number % len(same)]))
        step["urn"] += f"-{number}"
        step["oldState"]["outputs"] = {"padding": "x" * 4000}
        steps.append(step)
    document["steps"], document["changeSummary"] = steps, {"same": 9000, "update": 1000}
    path.write_text(json.dumps(document, indent=2))


def test_a_huge_preview_is_judged_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    big_preview(path)
    assert path.stat().st_size > 80e6, "it is about 100 MB"
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    findings, seconds, megabytes = map(float, done.stdout.split())
    assert findings == 1000, "every tenth step loses data"
    assert seconds < 3, f"{seconds:.2f} s of processor time"
    assert megabytes < 1024, f"{megabytes:.0f} MB"
