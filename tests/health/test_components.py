"""The alert components declare what the list of signals says, through the recorded engine."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest

from infra.components import sidecars
from infra.components.alerts_k8s import Alerts, AlertsArgs
from infra.components.cloud_sql_alerts import CloudSqlAlerts, CloudSqlAlertsArgs
from infra.components.exporter import LOOK, Exporter, ExporterArgs
from infra.components.postgres import Postgres, PostgresArgs
from perene.contract.values import Size
from perene.health.signals import SIGNALS, cloud_target, log_conditions_for, prometheus_groups, rules_for, slow_pattern, targets_of

TIER = {
    "stack": "direito-lux-dev",
    "owner": "plataforma@direitolux.example",
    "namespace": "direito-lux",
    "backups": {"at": "01:00 America/Sao_Paulo", "keep": {"daily": 7}, "drill_every": "1d", "sealed_every": "7d"},
    "stores": {
        "main": {
            "kind": "postgres",
            "workload": "main-g1",
            "volume": {"claim": "data-main-g1-0"},
            "backup": {"ways": ["logical"]},
        },
        "cache": {"kind": "redis", "workload": "cache-g1", "volume": {"claim": "data-cache-g1-0"}, "backup": {"ways": []}},
    },
}


class Engine(pulumi.runtime.Mocks):
    """Records every resource."""

    def __init__(self) -> None:
        self.made: list[pulumi.runtime.MockResourceArgs] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append(args)
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"{args.token}: components ask no cloud")

    def of(self, token: str) -> dict[str, dict[str, Any]]:
        """Logical name -> inputs of the resources of one type."""
        return {one.name: dict(one.inputs) for one in self.made if one.typ == token}


@pytest.fixture
def engine() -> Engine:
    mocks = Engine()
    pulumi.runtime.set_mocks(mocks, project="perene", stack="direito-lux-dev", preview=False)
    return mocks


def declare(build: Any) -> None:
    """Run the program and wait for every registration; an error in any of them is raised here."""
    pulumi.runtime.test(build)()


def test_without_the_operator_the_rules_are_a_file_in_a_config_map(engine: Engine) -> None:
    targets = targets_of(TIER | {"alerts": {"disk": 0.9, "connections": 0.8}})
    declare(
        lambda: Alerts("alerts", AlertsArgs(stack="direito-lux-dev", namespace="direito-lux", labels={}, targets=targets, protect=True))
    )
    (made,) = engine.of("kubernetes:core/v1:ConfigMap").values()
    content = json.loads(made["data"]["perene.rules.yml"])
    assert content == prometheus_groups(rules_for(targets), "direito-lux-dev"), "the cluster gets exactly the list's rules"
    full = next(rule for rule in content["groups"][0]["rules"] if rule["alert"] == "PereneVolumeFull")
    assert full["expr"].endswith("> 0.9"), "the configuration's share is the threshold"


def test_with_the_operator_they_are_a_prometheus_rule_with_the_labels_it_selects(engine: Engine) -> None:
    args = AlertsArgs(
        stack="direito-lux-dev",
        namespace="direito-lux",
        labels={"perene.dev/stack": "direito-lux-dev"},
        targets=targets_of(TIER),
        protect=True,
        operator=True,
        rule_labels={"release": "prometheus"},
    )
    declare(lambda: Alerts("alerts", args))
    (made,) = engine.of("kubernetes:monitoring.coreos.com/v1:PrometheusRule").values()
    assert made["metadata"]["labels"]["release"] == "prometheus", "a rule without the selector's labels is ignored silently"
    assert made["spec"]["groups"][0]["rules"]


def test_a_store_without_backups_has_no_alarm_on_them_and_the_others_do() -> None:
    by_store: dict[str, set[str]] = {}
    for rule in rules_for(targets_of(TIER)):
        by_store.setdefault(rule.labels["store"], set()).add(rule.labels["signal"])
    assert {"backup-stale", "backup-unproven"} <= by_store["main"]
    assert not by_store["cache"] & {"backup-stale", "backup-unproven"}
    assert {"backup-failed", "drill-overdue", "sealed-copy-overdue", "exporter-silent"} <= by_store["tier"]


def test_a_cloud_sql_instance_gets_a_policy_per_signal_with_one_owner_and_channels(engine: Engine) -> None:
    def bind(database_id: str) -> Any:
        return cloud_target(
            stack="direito-lux-prod",
            owner="plataforma@direitolux.example",
            store="main",
            database_id=database_id,
            project="acme-prod",
            slow_pattern=slow_pattern(5000),
            max_connections=400,
            limit_bytes=10**12,
            regional=True,
            settings={"disk": 0.95},
        )

    def build() -> None:
        CloudSqlAlerts(
            "main-alerts",
            CloudSqlAlertsArgs(
                project="acme-prod",
                database_id=pulumi.Output.from_input("acme-prod:main-g1-7f"),
                bind=bind,
                channels=["projects/acme-prod/notificationChannels/1"],
                labels={"stack": "direito-lux-prod"},
                protect=True,
            ),
        )

    declare(build)
    made = engine.of("gcp:monitoring/alertPolicy:AlertPolicy")
    target = bind("acme-prod:main-g1-7f")
    rules = {rule.labels["signal"]: rule for rule in rules_for([target])}
    logs = {condition.labels["signal"]: condition for condition in log_conditions_for([target])}
    assert set(made) == {f"main-alerts-{signal}" for signal in (*rules, *logs)}
    for signal, rule in rules.items():
        policy = made[f"main-alerts-{signal}"]
        condition = policy["conditions"][0]["conditionPrometheusQueryLanguage"]
        assert condition["query"] == rule.expression, "the same expression as in Prometheus, with the real instance"
        assert policy["severity"] in {"CRITICAL", "WARNING"}
        assert policy["notificationChannels"], "somebody is told"
        assert "Runbook: docs/runbooks/" in policy["documentation"]["content"]
    for signal, log in logs.items():
        policy = made[f"main-alerts-{signal}"]
        assert policy["conditions"][0]["conditionMatchedLog"]["filter"] == log.filter
        assert policy["alertStrategy"]["notificationRateLimit"]["period"] == "300s", "the service demands a rate limit"
        assert len(policy["conditions"]) == 1, "a log condition stands alone"


def test_a_guarded_tier_without_a_channel_is_refused(engine: Engine) -> None:
    args = CloudSqlAlertsArgs(project="p", database_id="p:i", bind=lambda _: targets_of(TIER)[0], channels=[], labels={}, protect=True)
    with pytest.raises(ValueError, match="somebody to tell"):
        CloudSqlAlerts("x", args)


def test_a_bare_instance_name_is_refused() -> None:
    with pytest.raises(ValueError, match="PROJECT:INSTANCE"):
        cloud_target(stack="s-prod", owner="o@example.com", store="main", database_id="main", project="p", slow_pattern="5000")


def test_the_exporter_may_look_and_nothing_else(engine: Engine) -> None:
    declare(lambda: Exporter("exporter", ExporterArgs(stack="s-dev", namespace="ns", labels={}, image="ops:1", protect=True)))
    rules = [
        rule
        for token in ("Role", "ClusterRole")
        for made in engine.of(f"kubernetes:rbac.authorization.k8s.io/v1:{token}").values()
        for rule in made["rules"]
    ]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}, "it changes nothing"
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert not resources & {"secrets", "nodes/proxy", "pods/exec", "*"}, "nodes/proxy and exec would let it run commands"
    assert len(LOOK) + 3 == len(rules)
    (deployment,) = engine.of("kubernetes:apps/v1:Deployment").values()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["command"][:3] == ["perene", "exporter", "s-dev"]


@pytest.mark.parametrize(
    ("who", "token"),
    [("operator", "kubernetes:monitoring.coreos.com/v1:PodMonitor"), ("google", "kubernetes:monitoring.googleapis.com/v1:PodMonitoring")],
)
def test_whoever_collects_is_told_where_the_exporters_are_and_leaves_their_labels(engine: Engine, who: Any, token: str) -> None:
    def build() -> None:
        Exporter("exporter", ExporterArgs(stack="s-dev", namespace="ns", labels={}, image="ops:1", protect=True, collector=who))
        Postgres("main-g1", postgres(collector=who))

    declare(build)
    made = engine.of(token).values()
    pods = [one["spec"]["template"] for kind in ("Deployment", "StatefulSet") for one in engine.of(f"kubernetes:apps/v1:{kind}").values()]
    assert len(made) == len(pods) == 2
    for pod in pods:
        labels = pod["metadata"]["labels"]
        chosen = [one["spec"] for one in made if one["spec"]["selector"]["matchLabels"].items() <= labels.items()]
        assert len(chosen) == 1, "one of them selects this pod"
        ports = {port["name"]: port["containerPort"] for container in pod["spec"]["containers"] for port in container["ports"]}
        assert str(int(ports["metrics"])) == pod["metadata"]["annotations"]["prometheus.io/port"]
        kept = chosen[0]["podMetricsEndpoints"][0]["honorLabels"] if who == "operator" else chosen[0]["targetLabels"] == {"metadata": []}
        assert kept, "else `pod` would be the exporter, not what a figure is about"


def postgres(**more: Any) -> PostgresArgs:
    return PostgresArgs(
        store="main",
        namespace="ns",
        labels={},
        image="postgres:17",
        image_family="debian-13",
        major=17,
        storage_class="x",
        volume=Size.parse("1GiB"),
        cpu="1",
        memory=Size.parse("1GiB"),
        databases={"a": ("public",)},
        users={"app": "read-write"},
        max_connections=20,
        slow_query_ms=5000,
        protect=True,
        **more,
    )


def test_a_postgres_has_its_exporter_beside_it_with_a_login_of_its_own(engine: Engine) -> None:
    declare(lambda: Postgres("main-g1", postgres()))
    (server,) = engine.of("kubernetes:apps/v1:StatefulSet").values()
    pod = server["spec"]["template"]["spec"]
    beside = {container["name"]: container for container in pod["containers"]}["exporter"]
    volumes = {mount["name"] for mount in beside["volumeMounts"]}
    assert volumes == {"config"}, "neither the data nor admin's password nor the socket, over which it would be admin"
    (policy,) = engine.of("kubernetes:networking.k8s.io/v1:NetworkPolicy").values()
    other_namespaces = [rule for rule in policy["spec"]["ingress"] if any("namespaceSelector" in peer for peer in rule["from"])]
    assert [port["port"] for rule in other_namespaces for port in rule["ports"]] == [9187], "figures, and nothing else"
    assert all(peer["podSelector"] for rule in other_namespaces for peer in rule["from"]), "and not for everybody"
    roles = next(config for config in engine.of("kubernetes:core/v1:ConfigMap").values() if "roles.sql" in config["data"])
    assert "GRANT pg_monitor TO monitor" in roles["data"]["roles.sql"]


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_sidecar_gets_its_password_by_reference_and_may_write_nothing(kind: str) -> None:
    container = sidecars.exporter(kind, image="ops:1", secret="main-g1-monitor")
    by_name = {variable.name: variable for variable in container.env}  # type: ignore[union-attr]
    secret = next(variable for name, variable in by_name.items() if "PASS" in name)
    assert secret.value is None
    assert secret.value_from.secret_key_ref.name == "main-g1-monitor"
    assert container.security_context.read_only_root_filesystem is True  # type: ignore[union-attr]
    assert container.ports[0].container_port == sidecars.KINDS[kind].port  # type: ignore[index]


def test_a_sidecars_program_may_end_without_ending_the_pods_readiness(tmp_path: Path) -> None:
    command = ["sh", "-c", sidecars.KEEP.replace("sleep 5", "sleep 0.1"), "exporter", "sh", "-c", f"echo run >> {tmp_path}/runs; exit 3"]
    shell = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    runs = tmp_path / "runs"
    while not runs.exists() or len(runs.read_text().split()) < 2:
        assert shell.poll() is None, "the container's own process stays"
        time.sleep(0.05)
    shell.terminate()
    _, said = shell.communicate(timeout=10)
    assert shell.returncode == 0, "and goes when it is told to"
    assert "ended with 3" in said


def test_a_cache_and_a_file_volume_are_watched_for_what_they_have() -> None:
    cache = {"kind": "redis", "mode": "cache", "workload": "cache-g1", "volume": None, "backup": {"ways": []}}
    files = {"kind": "files", "workload": None, "volume": {"claim": "data-media-g1-0"}, "backup": {"ways": ["logical"]}, "free_space": 0.1}
    queue = {**cache, "mode": "store", "workload": "queue-g1", "volume": {"claim": "data-queue-g1-0"}}
    rules = rules_for(targets_of({**TIER, "stores": {"cache": cache, "media": files, "queue": queue}}))
    named = {store: {rule.labels["signal"] for rule in rules if rule.labels["store"] == store} for store in ("cache", "media", "queue")}
    assert "store-down" in named["cache"]
    assert not {"redis-not-durable", "volume-full"} & named["cache"], "it keeps nothing, on no volume"
    assert {"redis-not-durable", "volume-full", "store-down", "memory-high"} <= named["queue"]
    assert {"volume-full", "backup-stale"} <= named["media"]
    assert not {"store-down", "pod-restarting", "memory-high"} & named["media"], "it has no server of its own"
    nearly = next(rule for rule in rules if (rule.labels["store"], rule.labels["signal"]) == ("media", "volume-nearly-full"))
    assert nearly.expression.endswith("> 0.9"), "what must stay free is said in the configuration"


def test_every_kind_that_signals_watch_can_come_from_a_tier_document() -> None:
    kinds = {kind for signal in SIGNALS for kind in signal.kinds}
    assert kinds <= {"postgres", "redis", "qdrant", "rabbitmq", "files", "cloud-sql", "tier", "sealed"}
