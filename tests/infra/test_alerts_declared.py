"""What is watched in theory is declared in practice: prod's policies against the list of signals."""

from perene.health.signals import LOG_SIGNALS, SIGNALS
from tests.house.stacks import program

POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"


def declared(stack: str) -> set[str]:
    policies = [one for one in program(stack).resources if one.type == POLICY]
    return {signal.name for signal in (*SIGNALS, *LOG_SIGNALS) for one in policies if one.name.endswith(f"-alerts-{signal.name}")}


def test_prod_is_paged_for_everything_that_cloud_monitoring_can_see() -> None:
    wanted = {signal.name for signal in (*SIGNALS, *LOG_SIGNALS) if set(signal.kinds) & {"cloud-sql", "tier", "sealed", "key"}}
    assert wanted - declared("prod") == {"cloud-replication-lag", "cloud-replication-stopped"} & wanted, "prod has no replica"


def test_the_sealed_copys_bucket_is_watched_where_it_lies() -> None:
    resources = [one for one in program("prod").resources if one.name.startswith(("perene-sealed-bucket", "sealed-copy-channels"))]
    projects = {one.inputs["project"] for one in resources if one.custom}
    assert projects == {"acme-vault"}, "nobody of the tier's own project could silence it"


def test_the_key_pages_for_everybody_but_those_whom_the_vault_lets_read_it() -> None:
    readers = {
        one.inputs["member"].partition(":")[2]
        for one in program("prod").resources
        if one.type == "gcp:secretmanager/secretIamMember:SecretIamMember" and one.inputs["secretId"].endswith("-encryption-key")
    }
    (policy,) = [one for one in program("prod").resources if one.name == "perene-key-alerts-key-read-by-a-stranger"]
    told = policy.inputs["conditions"][0]["conditionMatchedLog"]["filter"]
    assert readers
    assert all(f'"{reader}"' in told for reader in readers)
    assert told.count("@") == len(readers)
