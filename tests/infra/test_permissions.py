"""The matrix of rights, computed back from the policies that the stacks declare. GCS: the matrix only, nothing here enforces it."""

from collections import defaultdict

import pytest

from infra.permissions import SEALED, SECRETS, WORKING, Identity
from tests.house.stacks import program

# Predefined roles: what of an object's life they allow. Source: cloud.google.com/storage/docs/access-control/iam-roles
ROLES = {
    "roles/storage.legacyBucketReader": {"look"},
    "roles/storage.objectViewer": {"read"},
    "roles/storage.objectCreator": {"create"},
    "roles/storage.objectUser": {"read", "create", "delete"},
}
LOCKS = "/objects/locks/"


def gcs_matrix(stack: str) -> dict[str, dict[str, set[str]]]:
    """bucket -> identity -> what it may do; `delete-locks` is a delete bound to restic's own lock objects."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for resource in program(stack).resources:
        if resource.type == "gcp:storage/bucketIAMMember:BucketIAMMember":
            inputs = resource.inputs
            condition = inputs.get("condition", {}).get("expression", "")
            rights = ROLES[inputs["role"]]
            identity = inputs["member"].partition(":")[2].partition("@")[0].rpartition("-")[2]
            if condition:
                assert condition.startswith("resource.name.startsWith("), condition
                assert LOCKS in condition, "the only condition is restic's own locks"
                rights = {"delete-locks"}
            found[inputs["bucket"]][identity] |= rights
    return found


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_declared_policies_give_exactly_the_matrix(stack: str) -> None:
    declared = gcs_matrix(stack)
    working = next(matrix for bucket, matrix in declared.items() if "-backups-" in bucket)
    for identity, rights in WORKING.items():
        if identity is Identity.SEAL and stack == "staging":
            continue
        wanted = {str(right) for right in rights}
        # objectUser carries read and create too, which the matrix gives to whoever may delete.
        assert working[identity] == wanted, f"{identity}: {working[identity]} is not {wanted}"
    if stack == "prod":
        sealed = next(matrix for bucket, matrix in declared.items() if "-sealed-" in bucket)
        assert sealed == {identity: {str(right) for right in rights} for identity, rights in SEALED.items()}


def test_who_writes_backups_cannot_delete_them() -> None:
    for stack in ("staging", "prod"):
        for bucket, matrix in gcs_matrix(stack).items():
            for identity, rights in matrix.items():
                assert not ("delete" in rights and identity != "retention"), f"{identity} may delete in {bucket}"


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_secrets_are_read_by_those_who_need_them_and_nobody_else(stack: str) -> None:
    readers: dict[str, set[str]] = defaultdict(set)
    for resource in program(stack).resources:
        if resource.type == "gcp:secretmanager/secretIamMember:SecretIamMember":
            assert resource.inputs["role"] == "roles/secretmanager.secretAccessor"
            secret = resource.inputs["secretId"].removeprefix(f"direito-lux-{stack}-")
            readers[secret].add(resource.inputs["member"].partition(":")[2].partition("@")[0].removeprefix(f"direito-lux-{stack}-"))
    jobs = {secret: {str(job) for job in who if stack == "prod" or job is not Identity.SEAL} for secret, who in SECRETS.items()}
    jobs["encryption-key"] |= {"main-app"}
    assert readers == jobs


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_login_to_an_instance_is_bound_to_the_tiers_own_instances(stack: str) -> None:
    roles = [r for r in program(stack).resources if r.type == "gcp:projects/iAMMember:IAMMember"]
    assert roles, "somebody must be able to log in"
    own = {}
    for made in (r for r in program(stack).resources if r.type == "gcp:projects/iAMCustomRole:IAMCustomRole"):
        own[f"projects/{made.inputs['project']}/roles/{made.inputs['roleId']}"] = made.inputs["permissions"]
    assert all(set(may) == {"cloudsql.backupRuns.create", "cloudsql.backupRuns.get", "cloudsql.instances.get"} for may in own.values())
    assert len(own) == (stack == "prod"), "only who applies approved migrations takes restore points"
    for resource in roles:
        looks = "-exporter@" in resource.inputs["member"]
        known = {"roles/cloudsql.viewer"} if looks else {"roles/cloudsql.client", "roles/cloudsql.instanceUser", *own}
        assert resource.inputs["role"] in known
        assert (
            f'resource.name == "projects/acme-{stack}/instances/direito-lux-{stack}-main-g1"' in resource.inputs["condition"]["expression"]
        )
