"""Whatever the configuration accepts, the program builds: no rule leaves a gap that a component falls into."""

import copy
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra import tiers
from infra.config.load import ConfigError, load, read_stack_file
from perene.contract.tier import TierDocument
from perene.engine.monitor import run_program
from tests.house.stacks import named_by_content
from tests.infra.config.test_rejected import base

ROOT = Path(__file__).parents[2]
BASES = {stack: read_stack_file(ROOT / f"Pulumi.{stack}.yaml")[0] for stack in ("dev", "staging", "prod")}
AWS = {
    "account": "123456789012",
    "region": "sa-east-1",
    "oidcProvider": "arn:aws:iam::123456789012:oidc-provider/oidc.example/id/A",
    "breakGlass": "arn:aws:iam::123456789012:role/break-glass",
}
SEALED = {
    "kind": "s3",
    "account": "210987654321",
    "region": "us-east-1",
    "role": "arn:aws:iam::210987654321:role/setup",
    "every": "7d",
    "lock": {"days": 35, "irreversible": True},
}
IMAGES = BASES["prod"]["images"]
REMOVED = object()
# path: values that it may take. Most combinations are refused somewhere; what is left is built.
CHOICES: dict[str, list[Any]] = {
    "stores.main.generation": [1, 2, 999],
    "stores.main.retired": [{}, {"1": "2026-12-01"}],
    "stores.main.databases": [{"a": {}}, {"a": {"schemas": ["public", "audit"]}, "b_2": {}}],
    "stores.main.users": [{"backup": "dump"}, {"backup": "dump", "m": "ddl", "w1": "read-write", "w2": "read-write", "r": "read-only"}],
    "stores.main.pools": [{}, {"a": {"maxOpen": 1, "maxIdle": 0, "lifetime": "1m", "replicas": 1}}],
    "stores.main.migrations": [REMOVED],
    "stores.main.checks": [[], [{"count": "public.t", "atLeast": 0, "database": "a"}]],
    "stores.main.machine": ["db-f1-micro", "db-custom-2-7680", "db-custom-96-638976", "db-perf-optimized-N-128"],
    "stores.main.edition": ["enterprise", "enterprise-plus"],
    "stores.main.availability": ["zonal", "regional"],
    "stores.main.pitr": [REMOVED, {"days": 6}, {"days": 34}],
    "stores.main.zone": ["southamerica-east1-a"],
    "stores.main.secondaryZone": ["southamerica-east1-b"],
    "stores.main.replica": [{"region": "us-east1"}],
    "stores.main.adopt": [{"instance": "legacy-db", "databases": ["direito_lux"]}],
    "stores.main.denyPeriod": [{"start": "2026-12-01", "end": "2026-12-31"}],
    "stores.main.kmsKey": ["projects/p/locations/l/keyRings/r/cryptoKeys/k"],
    "stores.main.maxConnections": [200],
    "stores.main.finalBackup": ["365d", "7d"],
    "stores.main.volume": [{"size": "1GiB"}, {"size": "2TB"}],
    "stores.main.resources": [{"cpu": "2", "memory": "4GiB"}],
    "stores.main.extensions": [["timescaledb"]],
    "stores.main.backup": ["none"],
    "clouds.gcp.network": [{"kind": "peered", "id": "projects/acme-prod/global/networks/main", "prefixLength": 20}],
    "clouds.aws": [AWS],
    "cluster": [{"kind": "kubernetes", "context": "eks", "namespace": "n", "storageClass": "gp3-retain"}],
    "images": [REMOVED, IMAGES],
    "backups": [REMOVED],
    "backups.keep.monthly": [12],
    "backups.repository": [
        {"kind": "s3", "region": "sa-east-1", "noncurrentDays": 30},
        {"kind": "gcs", "location": "eu", "softDelete": "90d", "kmsKey": "projects/p/locations/eu/keyRings/r/cryptoKeys/k"},
    ],
    "backups.sealedCopy": [REMOVED, SEALED],
    "backups.drill": [{"every": "7d"}],
    "encryptionKey": [REMOVED, {"kind": "kubernetes"}, {"kind": "aws-secrets-manager", "replicas": ["us-east-1"]}],
    "alerts": [REMOVED],
    "guards": [
        {"devGuarded": True},
        {"opened": [{"resource": "main", "guard": "delete", "until": "2026-12-01", "reason": "moving", "by": "a@b.example"}]},
    ],
    "goals": [{"rpo": "24h", "rto": "4h"}],
}


@st.composite
def configurations(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    stack = draw(st.sampled_from(sorted(BASES)))
    tier = copy.deepcopy(BASES[stack])
    for path in draw(st.lists(st.sampled_from(sorted(CHOICES)), max_size=6, unique=True)):
        *parents, last = path.split(".")
        section = tier
        for part in parents:
            section = section.setdefault(part, {}) if isinstance(section, dict) else {}
        value = draw(st.sampled_from(CHOICES[path]))
        if value is REMOVED:
            section.pop(last, None)
        else:
            section[last] = copy.deepcopy(value)
    return stack, tier


ACCEPTED: list[bool] = []
AWS_TIER = ("prod", {**BASES["prod"], "cluster": CHOICES["cluster"][0], "images": IMAGES, "clouds": {"aws": AWS}})


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(configurations())
def try_one(case: tuple[str, dict[str, Any]]) -> None:
    ACCEPTED.append(builds_or_is_refused(*case))


def test_an_accepted_configuration_builds() -> None:
    ACCEPTED.clear()
    try_one()
    assert sum(ACCEPTED) >= 10, "the generator must not miss what it is for"


def test_a_tier_wholly_on_aws_is_accepted_and_builds() -> None:
    tier = copy.deepcopy(AWS_TIER[1])
    tier["stores"] = copy.deepcopy(BASES["dev"]["stores"])
    tier["stores"]["main"]["migrations"]["mode"] = "approved"
    tier["goals"] = {"rpo": "24h", "rto": "4h"}
    tier["backups"] |= {"repository": CHOICES["backups.repository"][0], "sealedCopy": SEALED, "drill": {"every": "1d"}}
    tier["encryptionKey"] = {"kind": "aws-secrets-manager", "replicas": ["us-east-1"]}
    assert builds_or_is_refused("prod", tier), "an AWS tier must not be refused"


@pytest.mark.parametrize("stack", ["services-dev", "services-staging", "services-prod"])
def test_a_tier_with_every_kind_is_accepted_and_builds(stack: str) -> None:
    tier = base(stack)
    for store in tier["stores"].values():
        store |= {"generation": 2, "retired": {"1": "2026-12-01"}}
    assert builds_or_is_refused(stack, tier), "a tier with every kind must not be refused"


def builds_or_is_refused(stack: str, value: dict[str, Any]) -> bool:
    try:
        tier = load(value, where="generated", stack=stack)
    except ConfigError:
        return False
    made = run_program(lambda: pulumi.export("tier", tiers.build(tier, stack)), project="perene", stack=stack, config={}, root=ROOT)
    document = TierDocument.parse(json.dumps(made.outputs["tier"]), "generated")
    assert set(document.stores) == set(tier.stores)
    names = [
        (r.type, r.inputs["metadata"].get("namespace"), r.inputs["metadata"]["name"])
        for r in made.resources
        if r.type.startswith("kubernetes:")
    ]
    assert len(names) == len(set(names)), "two objects of one kind must not share a name"
    if tier.guarded and not tier.guards.opened:
        bare = [r.urn for r in made.resources if r.custom and not r.options.get("protect") and not named_by_content(r)]
        assert not bare, f"everything in a guarded tier is protected: {bare}"
    return True


def test_jobs_see_what_is_copied_as_files_where_the_server_has_it_and_change_no_owner() -> None:
    value = base("services-dev")
    value["stores"]["events"]["messages"] = "stopped"
    value["stores"]["media"]["owner"] = {"uid": 2000, "gid": 3000, "mode": "0770"}
    made = run_program(
        lambda: pulumi.export("tier", tiers.build(load(value, where="x", stack="services-dev"), "services-dev")),
        project="perene",
        stack="services-dev",
        config={},
        root=ROOT,
    )
    jobs = {
        one.name: one.inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in made.resources if one.type.endswith(":CronJob")
    }
    mounts = {mount["name"]: mount for mount in jobs["perene-backup"]["containers"][0]["volumeMounts"]}
    stores = made.outputs["tier"]["stores"]
    for store in ("events", "media"):
        claim, path = stores[store]["volume"]["claim"], stores[store]["volume"]["mount_path"]
        assert (mounts[claim]["mountPath"], mounts[claim]["readOnly"]) == (path, True)
        volume = next(one for one in jobs["perene-backup"]["volumes"] if one["name"] == claim)
        assert volume["persistentVolumeClaim"]["readOnly"] is True, "else the node would give every file to the job's group"
    assert "data-queue-g1-0" not in mounts, "what is copied over the network is not mounted"
    assert jobs["perene-backup"]["securityContext"]["supplementalGroups"] == [3000]
    server = next(one for one in made.resources if one.name == "events-g1" and one.type.endswith(":StatefulSet"))
    seen = {mount["name"]: mount["mountPath"] for mount in server.inputs["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert seen["data"] == stores["events"]["volume"]["mount_path"], "quorum queues hold absolute paths"
    assert "events-g1" in str(jobs["perene-backup"]["affinity"])
    assert not {"events-g1", "data-media-g1-0"} & set(str(jobs["perene-retention"]).split("'"))
