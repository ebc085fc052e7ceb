"""One run per checkout."""

import subprocess
import sys
from pathlib import Path

import pytest

from perene.engine.lock import alone
from perene.errors import PereneError
from perene.exit_codes import ExitCode

HOLD = """
import sys, time
from pathlib import Path
from perene.engine.lock import alone
with alone(Path(sys.argv[1]), "perene up dev"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_who_holds_the_lock_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(PereneError, match=rf"`perene up dev`, process {other.pid} on ") as refused, alone(tmp_path, "perene up dev"):
            pass
        assert refused.value.exit_code == ExitCode.CANNOT_TELL
        other.kill()
        other.wait()
    with alone(tmp_path, "perene up dev"):
        assert (tmp_path / ".perene").stat().st_mode & 0o077 == 0
