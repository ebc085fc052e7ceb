"""The Job of a restore is the backup's own pod with another command."""

from perene.restore.in_cluster import manifest

POD = {
    "containers": [
        {
            "name": "perene",
            "command": ["perene", "backup"],
            "env": [{"name": "PERENE_WRITER", "value": "perene-backup"}],
            "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
            "volumeMounts": [
                {"name": "secret", "mountPath": "/etc/perene/secrets/x", "readOnly": True},
                {"name": "data-uploads", "mountPath": "/data", "readOnly": True},
            ],
        }
    ],
    "volumes": [
        {"name": "secret", "secret": {"secretName": "x"}},
        {"name": "data-uploads", "persistentVolumeClaim": {"claimName": "data-uploads", "readOnly": True}},
    ],
}
CRONJOB = {
    "spec": {
        "jobTemplate": {
            "metadata": {"labels": {"perene.dev/stack": "dev", "a": "b"}},
            "spec": {"activeDeadlineSeconds": 5, "backoffLimit": 1, "template": {"spec": POD}},
        }
    }
}


def test_it_may_write_volumes_but_no_secrets_and_tries_again_only_what_may_end_otherwise() -> None:
    made = manifest(CRONJOB, ["restore", "newest"], "r")
    pod = made["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["perene", "restore", "newest"]
    assert made["metadata"]["labels"] == {"a": "b"}, "an `up` meanwhile does not take it for something to be removed"
    assert [mount.get("readOnly") for mount in pod["containers"][0]["volumeMounts"]] == [True, None]
    assert "readOnly" not in pod["volumes"][1]["persistentVolumeClaim"]
    assert "activeDeadlineSeconds" not in made["spec"], "a restore is not cut off"
    assert made["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2, 3, 6]
    assert CRONJOB["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 5, "the CronJob's own is left as it is"
