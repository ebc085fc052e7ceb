"""Adopting what exists: every difference is named, weaker declarations are refused, stronger ones reach the instance first."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import requests

from infra import tiers
from infra.config.load import load, read_stack_file
from perene.backup.cloud_sql import SqlAdmin
from perene.engine import adoption
from perene.engine.monitor import run_program
from perene.engine.program import Program, Registration, masked
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.doubles.google import Google, serve

ROOT = Path(__file__).parents[2]
PREFIXES = {"https://sqladmin": "sql/v1beta4/", "https://storage": "storage/v1/", "https://secretmanager": "secrets/v1/"}
ADOPT = {
    "stores.main": {"adopt": {"instance": "legacy-db", "databases": ["direito_lux"]}},
    "backups.repository": {"adopt": "legacy-backups"},
    "encryptionKey": {"adopt": "LEGACY_KEY"},
}


def declared(changes: dict[str, dict[str, Any]] = ADOPT) -> Program:
    value = copy.deepcopy(read_stack_file(ROOT / "Pulumi.prod.yaml")[0])
    for path, change in changes.items():
        place = value
        for part in path.split("."):
            place = place[part]
        place |= change
    tier = load(value, where="prod", stack="prod")
    return run_program(lambda: pulumi.export("tier", tiers.build(tier, "prod")), project="perene", stack="prod", config={}, root=ROOT)


def wanted(program: Program) -> dict[str, Registration]:
    return {each.type.rsplit(":", 1)[-1]: each for each in program.resources if each.import_id}


class Cloud:
    """The double with what `legacy` declares in it, made as another tool would have made it."""

    def __init__(self, google: Google, address: str) -> None:
        self.google, self.address = google, address

    def admin(self, root: str) -> SqlAdmin:
        prefix = next(prefix for known, prefix in PREFIXES.items() if root.startswith(known))
        return SqlAdmin(self.address + prefix, requests.Session(), sleep=lambda _: None)

    def make(self, program: Program) -> None:
        legacy = {kind: masked(each.inputs) for kind, each in wanted(program).items()}
        settings = {adoption.SETTINGS.get(name, name): value for name, value in legacy["DatabaseInstance"]["settings"].items()}
        # The services write 64-bit numbers as text.
        settings |= {name: str(settings[name]) for name in ("dataDiskSizeGb", "storageAutoResizeLimit")}
        sql = self.admin("https://sqladmin")
        sql.call("POST", "projects/acme-prod/instances", {**legacy["DatabaseInstance"], "settings": settings})
        sql.call("POST", "projects/acme-prod/instances/legacy-db/databases", {"name": "direito_lux"})
        bucket = legacy["Bucket"]
        iam = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        kept = {"retentionDurationSeconds": str(bucket["softDeletePolicy"]["retentionDurationSeconds"])}
        body = {**bucket, "softDeletePolicy": kept, "iamConfiguration": iam, "lifecycle": {"rule": bucket["lifecycleRules"]}}
        self.admin("https://storage").call("POST", "b", body)
        secret = {key: value for key, value in legacy["Secret"].items() if key not in {"secretId", "project"}}
        self.admin("https://secretmanager").call("POST", "projects/acme-prod/secrets?secretId=LEGACY_KEY", secret)
        self.google.mutations.clear()

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = self.google.objects["sql/projects/acme-prod/instances/legacy-db"]["settings"]
        return found


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with serve() as (google, address):
        yield Cloud(google, address)


def test_what_is_adopted_is_imported_under_its_own_name(cloud: Cloud) -> None:
    program = declared()
    ids = {kind: each.import_id for kind, each in wanted(program).items()}
    assert ids == {
        "DatabaseInstance": "projects/acme-prod/instances/legacy-db",
        "Database": "projects/acme-prod/instances/legacy-db/databases/direito_lux",
        "Bucket": "legacy-backups",
        "Secret": "projects/acme-prod/secrets/LEGACY_KEY",
    }
    tier = program.outputs["tier"]
    assert tier["encryption_key"]["ref"]["name"] == "LEGACY_KEY"
    assert tier["repository"]["url"] == "gs:legacy-backups:/"


def test_what_is_as_declared_is_said_to_be_so(cloud: Cloud) -> None:
    program = declared()
    cloud.make(program)
    found = adoption.look(program, "prod", cloud.admin)
    assert len(found) == 4
    assert [str(difference) for each in found for difference in each.differences] == []
    assert cloud.google.mutations == [], "looking changes nothing"


@pytest.mark.parametrize(
    ("path", "exists", "code"),
    [
        ("backupConfiguration.transactionLogRetentionDays", 35, ExitCode.LOSES_DATA),
        ("backupConfiguration.backupRetentionSettings.retainedBackups", 99, ExitCode.LOSES_DATA),
        ("finalBackupConfig.retentionDays", 365, ExitCode.WEAKENS),
    ],
)
def test_a_declaration_weaker_than_what_runs_is_refused(cloud: Cloud, path: str, exists: Any, code: ExitCode) -> None:
    program = declared()
    cloud.make(program)
    *parents, last = path.split(".")
    place = cloud.settings
    for part in parents:
        place = place[part]
    place[last] = exists
    (found,) = [each for each in adoption.look(program, "prod", cloud.admin) if each.differences]
    assert found.differences[0].exists == exists
    assert adoption.refusal((found,)).exit_code is code
    assert "weaker than what runs" in str(adoption.refusal((found,)))


def test_a_clone_without_guards_may_be_adopted_and_everything_that_differs_is_named(cloud: Cloud) -> None:
    program = declared()
    cloud.make(program)
    cloud.settings["deletionProtectionEnabled"] = False
    cloud.settings["backupConfiguration"]["transactionLogRetentionDays"] = 7
    cloud.settings["availabilityType"] = "ZONAL"
    cloud.google.objects["storage/b/legacy-backups"]["softDeletePolicy"] = {"retentionDurationSeconds": "604800"}
    found = [each for each in adoption.look(program, "prod", cloud.admin) if each.differences]
    assert {difference.path for each in found for difference in each.differences} == {
        "settings.deletionProtectionEnabled",
        "settings.backupConfiguration.transactionLogRetentionDays",
        "settings.availabilityType",
        "softDeletePolicy.retentionDurationSeconds",
    }
    assert {each.worst for each in found} <= {"SAFE", "DISRUPTIVE"}


def test_what_does_not_exist_or_is_not_asked_for_is_said(cloud: Cloud) -> None:
    with pytest.raises(PereneError) as missing:
        adoption.look(declared(), "prod", cloud.admin)
    assert missing.value.exit_code is ExitCode.CANNOT_TELL
    with pytest.raises(PereneError, match="nothing is to be adopted"):
        adoption.look(declared({}), "prod", cloud.admin)
