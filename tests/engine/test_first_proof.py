"""The first backup and drill after `up`: only where there are none, told in one line each, and a failure says that the tier is up."""

import io
from pathlib import Path
from typing import Any

import pytest

from perene.engine import first_proof
from perene.engine.kubectl import Answer, Kubectl, Manifest
from perene.engine.progress import Progress
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.targets import BACKUP_JOB, DRILL_JOB
from tests.health.cluster import tier

LOGS = {
    # as a narrow console breaks it
    BACKUP_JOB: "recovery set 20261126T010000Z-1a2b3c: 12.3 MB in 1 stores, \nverified.\n",
    DRILL_JOB: "drill of 20261126T010000Z-1a2b3c: passed, 12.3 MB restored and compared in 9.1 s\n"
    "  damage on purpose (a row is changed (kept)): rows\n",
}
READABLE = 'perene_repository_readable{stack="direito-lux-dev"} 1\n'
HAS_SET = READABLE + 'perene_newest_set_timestamp_seconds{store="main"} 1\n'
PROVEN = HAS_SET + 'perene_newest_proven_set_timestamp_seconds{store="main"} 1\n'


class Cluster(Kubectl):
    """A double: jobs end at once, with their log; `fails` names the one that fails, with its container's code; figures: the exporter's."""

    def __init__(self, figures: str = READABLE, fails: str = "", code: int = 1) -> None:
        super().__init__(Path("double"), "double")
        for name, value in {"figures": figures, "fails": fails, "code": code, "did": [], "asked": 0}.items():
            object.__setattr__(self, name, value)

    figures: str
    fails: str
    code: int
    did: list[str]
    asked: int

    def ask(self, *arguments: str, stdin: str | None = None, seconds: int = 10) -> Answer:
        object.__setattr__(self, "asked", self.asked + 1)
        return Answer(0, self.figures, "") if self.figures else Answer(1, "", "no endpoints available")

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        if kind == "cronjob":
            return {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{}]}}}}}}
        failed = self.fails and name.startswith(self.fails)
        return {"status": {"conditions": [{"type": "Failed" if failed else "Complete", "status": "True"}]}}

    def create(self, manifest: Manifest) -> bool:
        self.did.append(manifest["metadata"]["name"].rpartition("-")[0])
        return True

    def find(self, kinds: Any, *, namespace: str | None = None, selector: str = "") -> list[Manifest]:
        return [{"status": {"containerStatuses": [{"state": {"terminated": {"exitCode": self.code}}}]}}]

    def run(self, *arguments: str, stdin: str | None = None, seconds: int = 10) -> str:
        return LOGS[arguments[1].removeprefix("job/").rpartition("-")[0]] if arguments[0] == "logs" else ""


def ensure(root: Path, cluster: Cluster) -> str:
    said = io.StringIO()
    first_proof.ensure(root, cluster, tier(), Progress(root / "log", said))
    return said.getvalue()


def test_a_new_tier_gets_both_and_its_last_lines_say_so(tmp_path: Path) -> None:
    cluster = Cluster()
    said = ensure(tmp_path, cluster).splitlines()
    assert cluster.did == [BACKUP_JOB, DRILL_JOB]
    told = [line.rpartition(",")[0] for line in said if line.startswith("first ")]
    assert told == [
        "first backup: set 20261126T010000Z-1a2b3c, stores: 1, 12.3 MB",
        "first drill: passed, fingerprint equal, canary damage found (a row is changed (kept))",
    ]


def test_a_second_run_asks_nobody(tmp_path: Path) -> None:
    ensure(tmp_path, Cluster())
    again = Cluster()
    assert ensure(tmp_path, again) == ""
    assert (again.did, again.asked) == ([], 0)


@pytest.mark.parametrize(("figures", "did"), [(PROVEN, []), (HAS_SET, [DRILL_JOB]), (READABLE, [BACKUP_JOB, DRILL_JOB])])
def test_another_checkout_asks_the_exporter_what_there_is(tmp_path: Path, figures: str, did: list[str]) -> None:
    cluster = Cluster(figures)
    ensure(tmp_path, cluster)
    assert cluster.did == did


@pytest.mark.parametrize("figures", ["", 'perene_repository_readable{stack="direito-lux-dev"} 0\n', "perene_other 1\n"])
def test_where_nobody_can_tell_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: str) -> None:
    monkeypatch.setattr(first_proof, "EXPORTER_SECONDS", 0.02)
    monkeypatch.setattr(first_proof, "POLL", 0.01)
    cluster = Cluster(figures)
    with pytest.raises(PereneError, match="direito-lux-dev is up, but whether it has a backup cannot be told") as failed:
        ensure(tmp_path, cluster)
    assert failed.value.exit_code == ExitCode.CANNOT_TELL
    assert cluster.did == []


@pytest.mark.parametrize(
    ("fails", "code", "exit_code"),
    [(BACKUP_JOB, 3, ExitCode.CANNOT_TELL), (DRILL_JOB, 6, ExitCode.NOT_PROVEN), (BACKUP_JOB, 137, ExitCode.FAILED)],
)
def test_a_failure_says_that_the_tier_is_up_and_ends_with_the_jobs_own_code(
    tmp_path: Path, fails: str, code: int, exit_code: ExitCode
) -> None:
    with pytest.raises(PereneError, match=f"direito-lux-dev is up, but its first {fails.removeprefix('perene-')} failed") as failed:
        ensure(tmp_path, Cluster(fails=fails, code=code))
    assert failed.value.exit_code == exit_code
    assert "--no-first-backup" in str(failed.value)
    assert f"logs job/{fails}" in str(failed.value)


def test_after_an_interrupted_drill_only_the_drill_is_made(tmp_path: Path) -> None:
    with pytest.raises(PereneError):
        ensure(tmp_path, Cluster(fails=DRILL_JOB, code=6))
    again = Cluster()
    ensure(tmp_path, again)
    assert again.did == [DRILL_JOB]


def test_a_tier_without_backups_has_none_to_make(tmp_path: Path) -> None:
    cluster = Cluster()
    first_proof.ensure(tmp_path, cluster, tier(backups=None), Progress(tmp_path / "log", io.StringIO()))
    assert (cluster.did, cluster.asked) == ([], 0)
