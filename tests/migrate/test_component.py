"""The migration Job through the recorded engine: once, as migrator, nobody's root, another name for other content."""

import re
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest

from infra.components.migrations import CONFIG_MAP_BYTES, Migrations, MigrationsArgs
from infra.tier_migrations import approvers

SCRIPTS = {"001_tables.up.sql": "-- description: x\nSELECT 1;", "001_tables.down.sql": "SELECT 1;"}


class Engine(pulumi.runtime.Mocks):
    """Records every resource."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made[args.typ.rsplit(":", 1)[-1]] = dict(args.inputs)
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"{args.token}: components ask no cloud")


def declared(**changed: Any) -> dict[str, dict[str, Any]]:
    engine = Engine()
    pulumi.runtime.set_mocks(engine, project="perene", stack="direito-lux-dev", preview=False)
    given: dict[str, Any] = {
        "store": "main", "namespace": "lux", "labels": {"a": "b"}, "image": "ops@sha256:1", "host": "main-g1.lux.svc.cluster.local",
        "database": "direito_lux", "user": "migrator", "scripts": SCRIPTS, "approved": False, "commit": "c0ffee",
        "application": "direito-lux", "workload": "main-g1",
    }  # fmt: skip
    pulumi.runtime.test(lambda: Migrations("main-g1", MigrationsArgs(**{**given, **changed})))()
    return engine.made


def test_the_job_runs_once_as_migrator_over_verified_tls_and_never_as_root() -> None:
    job = declared()["Job"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert (job["spec"]["completions"], job["spec"]["parallelism"], pod["restartPolicy"]) == (1, 1, "Never")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert (environment["PGUSER"], environment["PGSSLMODE"]) == ("migrator", "verify-full")
    assert container["command"][container["command"].index("--role") + 1] == "migrator"
    assert job["spec"]["template"]["metadata"]["labels"]["access.perene.dev/main"] == "true", "the database's network policy lets it in"


def test_no_password_is_in_the_declaration() -> None:
    made = declared()
    assert "PGPASSWORD" not in str(made)
    names = {volume["secret"]["secretName"] for volume in made["Job"]["spec"]["template"]["spec"]["volumes"] if "secret" in volume}
    assert names == {"main-g1-tls", "main-g1-migrator"}


def test_other_scripts_or_another_image_are_another_job_and_the_same_ones_the_same() -> None:
    names = [
        declared(**changed)["Job"]["metadata"]["name"]
        for changed in ({}, {}, {"scripts": {**SCRIPTS, "002_x.up.sql": ""}}, {"image": "ops@sha256:2"}, {"commit": "beef"})
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert all(len(name) <= 63 for name in names), "a Job's name is a label of its pods"


def test_in_prod_it_asks_for_rehearsal_restore_point_and_approval() -> None:
    made = declared(approved=True, evidence={"approval.json": "{}"}, keys={"ana@example.org": "PEM"})
    pod = made["Job"]["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]
    assert command[-6:] == ["--approved", "main", "--evidence", "/etc/perene/evidence", "--keys", "/etc/perene/evidence/keys"]
    (shown,) = [volume["configMap"]["items"] for volume in pod["volumes"] if volume["name"] == "evidence"]
    assert {item["path"] for item in shown} == {"approval.json", "keys/ana@example.org.pub"}
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in made["ConfigMap"]["data"]), "what a ConfigMap accepts"


def test_in_prod_the_job_finds_or_takes_its_restore_point_itself() -> None:
    made = declared(approved=True, restore_point="sets:/repository", repository_claim="data-repository-0")
    pod = made["Job"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"][-2:] == ["--restore-point", "sets:/repository"]
    mounts = {mount["name"]: mount.get("readOnly") for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["repository"] is True, "it reads what was told, and nothing else"


def test_only_people_approve(tmp_path: Path) -> None:
    for name in ("ana@example.org.pub", "prod.pub", "prod.age.pub"):
        (tmp_path / name).write_text("PEM")
    assert list(approvers(tmp_path)) == ["ana@example.org"], "the key of drills lies in the same place"


def test_in_staging_it_asks_for_the_ledger_of_dev() -> None:
    made = declared(after=True, evidence={"before.json": "{}"})
    command = made["Job"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-2:] == ["--after", "/etc/perene/evidence/before.json"]


def test_with_cloud_sql_the_proxy_is_a_native_sidecar_and_logs_in() -> None:
    made = declared(proxy=("proxy@sha256:1", "p:r:i"), service_account="main-g1-migrator", host="127.0.0.1", user="m@p.iam", workload="")
    pod = made["Job"]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["restartPolicy"] == "Always"
    assert pod["serviceAccountName"] == "main-g1-migrator"
    assert not [volume for volume in pod["volumes"] if "secret" in volume], "an identity has no password"


def test_scripts_that_do_not_fit_are_refused_before_anything_is_declared() -> None:
    with pytest.raises(ValueError, match="do not fit into a ConfigMap"):
        declared(scripts={"001_x.up.sql": "x" * CONFIG_MAP_BYTES})
