"""Volumes that go with their claims: refused where the tier is guarded, said in dev."""

import pytest

from perene.engine import reclaim
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.engine.cluster_double import DoubleOfKubectl, live, program, resource

CLAIM = resource("PersistentVolumeClaim", "data-main-g1-0", spec={"storageClassName": "fast"})


def storage_class(policy: str) -> dict[str, object]:
    return {"kind": "StorageClass", "metadata": {"name": "fast"}, "reclaimPolicy": policy}


def test_a_class_that_deletes_is_refused_for_a_guarded_tier() -> None:
    with pytest.raises(PereneError, match=r"storage class fast has reclaim policy Delete(.|\n)*cluster.storageClass") as refused:
        reclaim.check(DoubleOfKubectl([storage_class("Delete")]), program(CLAIM, guarded=True))
    assert refused.value.exit_code == ExitCode.WEAKENS, "a volume that goes with its claim is a weaker protection"


def test_a_class_that_deletes_is_warned_of_in_dev() -> None:
    said = reclaim.check(DoubleOfKubectl([storage_class("Delete")]), program(CLAIM))
    assert said == ["PersistentVolumeClaim lux/data-main-g1-0: the storage class fast has reclaim policy Delete"]


def test_a_class_that_retains_is_silent() -> None:
    assert reclaim.check(DoubleOfKubectl([storage_class("Retain")]), program(CLAIM, guarded=True)) == []


def test_a_bound_volume_counts_and_not_its_class() -> None:
    volume = {"kind": "PersistentVolume", "metadata": {"name": "pv-1"}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    claim = live(CLAIM)
    claim["spec"]["volumeName"] = "pv-1"
    with pytest.raises(PereneError, match=r"volume pv-1 has reclaim policy Delete(.|\n)*kubectl patch pv pv-1"):
        reclaim.check(DoubleOfKubectl([storage_class("Retain"), volume, claim]), program(CLAIM, guarded=True))


def test_a_class_that_is_not_there_is_refused_before_a_claim_waits_for_it() -> None:
    with pytest.raises(PereneError, match=r"no storage class fast(.|\n)*kubectl get storageclass") as refused:
        reclaim.check(DoubleOfKubectl([]), program(CLAIM))
    assert refused.value.exit_code == ExitCode.CANNOT_TELL
