"""Readiness: what counts as ready, what will never become so, and which pods an apply alone would leave stuck."""

from typing import Any

from perene.engine.readiness import state, stuck


def server(**status: Any) -> dict[str, Any]:
    base = {"observedGeneration": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a"}
    return {"kind": "StatefulSet", "metadata": {"name": "main", "generation": 1}, "spec": {"replicas": 1}, "status": base | status}


def pod(*, revision: str = "a", ready: bool = False, reason: str = "", restarts: int = 0) -> dict[str, Any]:
    waiting = {"waiting": {"reason": reason}} if reason else {"running": {}}
    return {
        "metadata": {"name": "main-0", "namespace": "lux", "labels": {"controller-revision-hash": revision}},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "postgres", "state": waiting, "restartCount": restarts}],
        },
    }


def test_a_server_is_ready_only_when_the_new_revision_is() -> None:
    assert state(server(), [pod(ready=True)]).ready
    assert not state(server(readyReplicas=0), [pod()]).ready
    assert not state(server(updateRevision="b"), [pod(ready=True)]).ready, "the old pod still runs"
    assert not state(server(observedGeneration=0), [pod(ready=True)]).ready, "the controller has not seen the change yet"


def test_a_crash_that_stays_and_an_image_that_is_not_there_are_failures() -> None:
    failed = state(server(readyReplicas=0), [pod(reason="CrashLoopBackOff", restarts=5)])
    assert failed.failed
    assert "CrashLoopBackOff, 5 restarts" in failed.reason
    assert not state(server(readyReplicas=0), [pod(reason="CrashLoopBackOff", restarts=1)]).failed, "one crash may be a slow start"
    assert state(server(readyReplicas=0), [pod(reason="ImagePullBackOff")]).failed


def test_a_broken_pod_of_an_old_revision_is_stuck_and_a_working_one_is_not() -> None:
    assert stuck(server(updateRevision="b"), [pod(revision="a", reason="ImagePullBackOff")]) == ["main-0"]
    assert stuck(server(), [pod(reason="CrashLoopBackOff")]) == ["main-0"], "it would wait minutes although the cause may be gone"
    assert stuck(server(updateRevision="b"), [pod(revision="a")]) == [], "the controller replaces it by itself"
    assert stuck(server(updateRevision="b"), [pod(revision="a", ready=True)]) == []


def test_a_job_is_ready_when_it_is_complete() -> None:
    def job(kind: str) -> dict[str, Any]:
        return {"kind": "Job", "metadata": {"name": "roles"}, "spec": {}, "status": {"conditions": [{"type": kind, "status": "True"}]}}

    assert state(job("Complete"), []).ready
    assert state(job("Failed"), []).failed
    assert not state(job("Suspended"), []).ready
