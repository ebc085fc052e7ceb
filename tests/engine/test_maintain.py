"""Back up, stop, work, start, verify: nothing stopped without a backup, everything started again. The cluster is a double."""

import json
from pathlib import Path
from typing import Any

import pytest

from perene.contract.recovery_set import Count, ItemsContent, RecoverySet, StoreSet
from perene.contract.tier import TierDocument
from perene.engine import jobs, pause
from perene.engine.kubectl import Kubectl, Manifest
from perene.engine.maintain import maintain
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore.kept import lost
from tests.health.cluster import NAMESPACE, tier


def manifest(number: int, **counts: int) -> RecoverySet:
    items = {name: Count(rows=rows, hash="0") for name, rows in counts.items()}
    store = StoreSet(
        kind="qdrant",
        version="1.18",
        tool="",
        started="2026-11-26T00:00:00+00:00",
        finished="2026-11-26T00:00:01+00:00",
        position="",
        parts=(),
        content=ItemsContent(items=items),
        seconds={},
    )
    return RecoverySet(
        id=f"2026112{number}T000000Z-aaaaaa",
        stack="direito-lux-dev",
        started="2026-11-26T00:00:00+00:00",
        finished="2026-11-26T00:00:01+00:00",
        tier=tier(),
        stores={"main": store},
        versions={},
    )


class Cluster(Kubectl):
    """A double: jobs end at once, a StatefulSet's pod follows its replicas. did: what was asked, in order."""

    def __init__(self, sets: list[RecoverySet]) -> None:
        super().__init__(Path("double"), "double")
        object.__setattr__(self, "sets", sets)
        object.__setattr__(self, "did", [])
        object.__setattr__(self, "replicas", 1)
        object.__setattr__(self, "fails", False)
        object.__setattr__(self, "jobs", {})

    sets: list[RecoverySet]
    did: list[str]
    replicas: int
    fails: bool
    jobs: dict[str, list[str]]

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        if kind == "cronjob":
            spec = {"template": {"spec": {"containers": [{"name": "perene", "command": ["perene", name.removeprefix("perene-")]}]}}}
            return {"spec": {"jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}}
        if kind == "job":
            return {"status": {"conditions": [{"type": "Failed" if self.fails else "Complete", "status": "True"}]}}
        return {"status": {"conditions": [{"type": "Ready", "status": "True"}]}} if self.replicas else None

    def create(self, manifest: Manifest) -> bool:
        command = manifest["spec"]["template"]["spec"]["containers"][0]["command"]
        self.jobs[manifest["metadata"]["name"]] = command
        self.did.append(" ".join(command[1:3]))
        return True

    def find(self, kinds: Any, *, namespace: str | None = None, selector: str = "") -> list[Manifest]:
        return [{"metadata": {"name": "data-main-g1-0"}, "status": {"phase": "Bound"}}]

    def run(self, *arguments: str, stdin: str | None = None, seconds: int = 10) -> str:
        if arguments[0] == "logs":
            if self.jobs[arguments[1].removeprefix("job/")][1] == "backup":
                return f'{{"stage": "dump"}}\nrecovery set {self.sets[0].id}: 1.0 MB in 1 stores, verified.\n'
            return json.dumps({"stage": "x"}) + "\n" + json.dumps(self.sets.pop(0).model_dump(mode="json")) + "\n"
        if arguments[0] == "scale":
            object.__setattr__(self, "replicas", int(arguments[2].removeprefix("--replicas=")))
            self.did.append(f"replicas {self.replicas}")
        return ""


def document() -> TierDocument:
    return tier()


def test_the_whole_workflow_in_its_order() -> None:
    cluster = Cluster([manifest(1, docs=5), manifest(2, docs=6)])
    said: list[str] = []

    def work() -> int:
        cluster.did.append("work")
        return 0

    maintain(cluster, document(), (), work, said.append)
    assert cluster.did == ["backup", "repo show", "replicas 0", "work", "replicas 1", "backup", "repo show"]
    assert "no count is smaller" in said[-1]


def test_without_a_backup_nothing_is_stopped() -> None:
    cluster = Cluster([manifest(1, docs=5)])
    object.__setattr__(cluster, "fails", True)
    with pytest.raises(PereneError, match="failed"):
        maintain(cluster, document(), (), lambda: 0, lambda _: None)
    assert cluster.did == ["backup"]
    assert cluster.replicas == 1


@pytest.mark.parametrize("way", ["fails", "breaks"])
def test_whatever_the_work_does_everything_is_started_again(way: str) -> None:
    cluster = Cluster([manifest(1, docs=5), manifest(2, docs=5)])

    def work() -> int:
        if way == "breaks":
            raise KeyboardInterrupt
        return 7

    with pytest.raises(PereneError if way == "fails" else KeyboardInterrupt) as ended:
        maintain(cluster, document(), (), work, lambda _: None)
    assert cluster.replicas == 1
    assert way == "breaks" or "ended with 7" in str(ended.value)


def test_what_is_lost_is_named_with_the_set_that_has_it() -> None:
    cluster = Cluster([manifest(1, docs=5, images=3), manifest(2, docs=4)])
    with pytest.raises(PereneError, match=r"images is gone \(3 before\)") as refused:
        maintain(cluster, document(), (), lambda: 0, lambda _: None)
    assert "docs has 4, before 5" in str(refused.value)
    assert f"perene restore {manifest(1).id}" in str(refused.value)
    assert refused.value.exit_code == ExitCode.NOT_PROVEN


def test_growth_is_no_loss_and_a_lost_store_is() -> None:
    assert lost(manifest(1, docs=5), manifest(2, docs=5, more=1)) == []
    assert lost(manifest(1, docs=5), manifest(2).model_copy(update={"stores": {}})) == ["main: the whole store"]


def test_a_store_that_is_not_there_is_named_before_anything_is_done() -> None:
    cluster = Cluster([])
    with pytest.raises(PereneError, match="there is no store vectors"):
        maintain(cluster, document(), ("vectors",), lambda: 0, lambda _: None)
    assert not cluster.did


def test_a_server_that_does_not_stop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "STOP_SECONDS", 0)
    cluster = Cluster([])
    monkeypatch.setattr(Cluster, "get", lambda *_: {"status": {}})
    with pytest.raises(PereneError, match="main has not stopped"):
        pause.stop(cluster, NAMESPACE, document().stores)


def test_a_job_that_the_tier_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "get", lambda *_: None)
    with pytest.raises(PereneError, match="the tier has no job perene-backup"):
        jobs.run_now(Cluster([]), NAMESPACE, "perene-backup")
