"""An inventory is a subset: it pins what it names and nothing else."""

import pytest

from perene.engine import inventory
from perene.engine.program import Program, Registration

SERVICE = "kubernetes:core/v1:Service"


def declared(**spec: object) -> Program:
    one = Registration(
        urn=f"urn:pulumi:dev::perene::perene:k8s:Postgres${SERVICE}::main",
        type=SERVICE,
        name="main",
        parent=None,
        custom=True,
        id="n/main",
        inputs={"spec": spec},
        outputs={},
        protect=True,
    )
    return Program(project="perene", stack="dev", resources=(one,), outputs={})


def golden(entry: object, count: int = 1) -> dict[str, object]:
    return {"counts": {SERVICE: count}, "values": {f"perene:k8s:Postgres${SERVICE}::main": entry}}


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (golden({"inputs": {"spec": {"type": "ClusterIP"}}}), None),
        (golden({"inputs": {"spec": {"type": "NodePort"}}}), "is 'ClusterIP' instead of 'NodePort'"),
        (golden({"inputs": {"spec": {"clusterIP": "__missing__"}}}), None),
        (golden({"inputs": {"spec": {"type": "__missing__"}}}), "must not be there, but is 'ClusterIP'"),
        (golden({"inputs": {"spec": {"ports": [{}, {}]}}}), "has 1 items instead of 2"),
        (golden({"inputs": {"spec": {"ports": [{"port": 5432}]}}}), None),
        (golden({"inputs": {"spec": {"ports": [{"port": 1}]}}}), "is 5432 instead of 1"),
        (golden({"options": {"protect": True}}), None),
        (golden({"options": {"retainOnDelete": True}}), "options / retainOnDelete: is not declared"),
        (golden({}, count=2), "is 1 instead of 2"),
        ({"values": {"kubernetes:core/v1:Pod::x": {}}}, "kubernetes:core/v1:Pod::x: is not declared"),
    ],
)
def test_subset_semantics(expected: dict[str, object], says: str | None) -> None:
    found = inventory.differences(expected, declared(type="ClusterIP", ports=[{"port": 5432, "name": "pg"}]))
    assert (not found) if says is None else (len(found) == 1 and found[0].endswith(says)), found


def test_writing_anew_keeps_what_a_person_pinned_with_todays_value() -> None:
    earlier = golden({"inputs": {"spec": {"sessionAffinity": "None", "externalIPs": "__missing__", "gone": 1}}})
    anew = inventory.inventory(declared(type="ClusterIP", ports=[], sessionAffinity="ClientIP"), earlier)
    entry = anew["values"][f"perene:k8s:Postgres${SERVICE}::main"]
    assert entry == {
        "inputs": {"spec": {"sessionAffinity": "ClientIP", "externalIPs": "__missing__", "type": "ClusterIP", "ports": []}},
        "options": {"protect": True},
    }
    assert not inventory.differences(anew, declared(type="ClusterIP", ports=[], sessionAffinity="ClientIP"))
