"""One verdict, worst first, in time; each fault is named with the command to type."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from perene.contract.tier import SecretRef
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health import checks, growth, lost
from perene.health.exporter import of_evidence
from perene.health.facts import DrillFact, Evidence, SetFact, seal_of
from perene.health.figures import of_samples, scraped
from perene.health.signals import prometheus_groups, rules_for, targets_of
from perene.health.states import moment
from perene.health.subject import Tier
from perene.health.verdict import Finding, State, exit_code, run
from tests.health.cluster import NAMESPACE, FakeApi, objects, summary, tier

NOW = moment("2026-11-24T12:00:00Z")
CORE = f"/api/v1/namespaces/{NAMESPACE}"
NEWEST = SetFact(id="new", finished=NOW - 3600, bytes=2**20, seconds=12, stores=("main",))
DRILL = DrillFact(set="new", source="set", finished=NOW - 1800, passed=True, rto=60, rto_goal=3600, rpo=1, rpo_goal=2, bytes=1)
GOOD = Evidence(sets=(NEWEST,), drills=(DRILL,))


def alerts() -> str:
    return json.dumps(prometheus_groups(rules_for(targets_of(tier().model_dump(mode="json"))), "direito-lux-dev"))


def looked(answers: dict[str, Any] | None = None, evidence: Evidence = GOOD, stats: dict[str, Any] | None = None) -> Tier:
    api = FakeApi(answers or good(), stats)
    return Tier(
        document=tier(),
        api=api,
        resolve=lambda _: b"",
        figures=lambda: of_samples(of_evidence(tier(), evidence)),
        clock=lambda: NOW,
    )


def good() -> dict[str, Any]:
    answers = objects()
    answers[f"{CORE}/configmaps"] = {"items": [{"metadata": {"name": "alerts"}, "data": {"perene.rules.yml": alerts()}}]}
    return answers


def findings(subject: Tier) -> list[Finding]:
    table = {name: check for name, check in checks.checks(subject).items() if not name.endswith("answers")}
    return run(table, 5)


def test_a_good_tier_is_fine_throughout() -> None:
    found = findings(looked())
    assert [one for one in found if one.state is not State.FINE] == []
    assert {"pod", "volume", "space", "jobs", "newest set", "proven set", "guards", "alerts", "retention"} <= {one.check for one in found}
    assert exit_code(found) is ExitCode.DONE


def broken(change: Callable[[dict[str, Any]], Any]) -> Tier:
    answers = good()
    change(answers)
    return looked(answers)


# (what is broken, the finding's check, a part of what is said)
FAULTS: list[tuple[Callable[[dict[str, Any]], Any], str, str]] = [
    (lambda a: a[f"{CORE}/pods"]["items"].clear(), "pod", "it has no pod"),
    (lambda a: a[f"{CORE}/pods"]["items"][0]["status"]["conditions"][0].update(status="False"), "pod", "not ready"),
    (lambda a: a[f"{CORE}/persistentvolumeclaims"]["items"].clear(), "volume", "is not there"),
    (lambda a: a[f"{CORE}/persistentvolumeclaims"]["items"][0]["status"].update(phase="Lost"), "volume", "is Lost"),
    (lambda a: a[f"{CORE}/pods"]["items"][0]["spec"].update(volumes=[]), "volume", "no pod mounts"),
    (
        lambda a: a[f"{CORE}/pods"]["items"][0]["spec"]["containers"][0]["volumeMounts"][0].update(mountPath="/elsewhere"),
        "volume",
        "new data goes elsewhere",
    ),
    (lambda a: a[f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"]["items"][0]["spec"].update(suspend=True), "jobs", "suspended"),
    (
        lambda a: a[f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"]["items"][0]["status"].update(
            lastScheduleTime="2026-11-24T05:00:00Z"
        ),
        "jobs",
        "failed",
    ),
    (lambda a: a[f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"]["items"].clear(), "jobs", "nothing is backed up"),
    (lambda a: a["/api/v1/persistentvolumes"]["items"][0]["spec"].update(persistentVolumeReclaimPolicy="Delete"), "guards", "is open"),
    (lambda a: a[f"{CORE}/configmaps"]["items"].clear(), "alerts", "0 of"),
]


@pytest.mark.parametrize(("change", "check", "said"), FAULTS, ids=[said for _, _, said in FAULTS])
def test_a_fault_is_named_first_with_the_next_command(change: Callable[[dict[str, Any]], Any], check: str, said: str) -> None:
    found = findings(broken(change))
    first = found[0]
    assert first.state is not State.FINE
    named = [one for one in found if one.check == check and said in one.what]
    assert named, [one.what for one in found]
    assert named[0].next, "the person at three in the morning gets a command to type"
    assert [one.state for one in found] == sorted((one.state for one in found), reverse=True), "worst first"


def weekly(days: float) -> SetFact:
    """A set of a database so large that the next one is due after a week."""
    return SetFact(id="o", finished=NOW - days * 86400, bytes=1, seconds=1, stores=("main",), every=7 * 86400)


def test_a_weekly_set_is_late_after_its_week_and_not_before() -> None:
    proof = DrillFact(**{**vars(DRILL), "set": "o", "finished": NOW - 6 * 86400})
    found = findings(looked(evidence=Evidence(sets=(weekly(7.1),), drills=(proof,))))
    assert {one.check: one.state for one in found if one.check in {"newest set", "proven set"}} == {
        "newest set": State.FINE,
        "proven set": State.FINE,
    }


@pytest.mark.parametrize(
    ("evidence", "check", "said"),
    [
        (Evidence(problem="gone"), "repository", "cannot be read"),
        (Evidence(), "newest set", "no recovery set yet"),
        (Evidence(sets=(SetFact(id="o", finished=NOW - 40 * 3600, bytes=1, seconds=1, stores=("main",)),)), "newest set", "40.0 h old"),
        (Evidence(sets=(weekly(7.3),)), "newest set", "7.3 d old"),
        (Evidence(sets=(NEWEST,)), "proven set", "no set was ever restored"),
        (Evidence(sets=(NEWEST,), drills=(DrillFact(**{**vars(DRILL), "passed": False}),)), "drill", "the last restore drill failed"),
    ],
)
def test_what_is_wrong_with_the_backups_is_named(evidence: Evidence, check: str, said: str) -> None:
    found = [one for one in findings(looked(evidence=evidence)) if one.check == check and said in one.what]
    assert found
    assert found[0].state is State.BAD
    assert found[0].next.startswith("perene ")


def test_alerts_that_the_prometheus_operator_holds_count_too() -> None:
    def move(answers: dict[str, Any]) -> None:
        answers[f"{CORE}/configmaps"]["items"].clear()
        rules = {"items": [{"spec": json.loads(alerts())}]}
        answers[f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheusrules"] = rules

    assert [one.state for one in findings(broken(move)) if one.check == "alerts"] == [State.FINE]


@pytest.mark.parametrize(
    ("fingerprint", "sealed", "opened", "state", "said"),
    [
        ("abc", b"sentinel", True, State.FINE, "as in the newest set; the last drill opened the sentinel with it"),
        ("abc", b"", None, State.FINE, "the key abc is in place"),
        ("abc", b"another", True, State.BAD, "is not the one that the newest set was made under"),
        ("abc", b"sentinel", False, State.BAD, "did not open what was sealed under it"),
        ("", b"sentinel", True, State.BAD, "carries no fingerprint"),
    ],
)
def test_the_key_in_place_is_the_one_of_the_newest_set(
    fingerprint: str, sealed: bytes, opened: bool | None, state: State, said: str
) -> None:
    ref = {"vault": "kubernetes", "scope": NAMESPACE, "name": "perene-encryption-key", "key": "key"}
    document = tier(encryption_key={"kind": "kubernetes", "ref": ref, "sentinel": ref | {"name": "perene-sentinel"}, "generation": 1})
    answers = good()
    labels = {"perene.dev/key-fingerprint": fingerprint} if fingerprint else {}
    answers[f"{CORE}/secrets/perene-encryption-key"] = {"metadata": {"name": "perene-encryption-key", "labels": labels}}
    newest = SetFact(**{**vars(NEWEST), "key": seal_of(sealed) if sealed else ""})
    evidence = Evidence(sets=(newest,), drills=(DrillFact(**{**vars(DRILL), "key_opened": opened}),))

    def resolve(ref: SecretRef) -> bytes:
        assert ref.name == "perene-sentinel", "the key itself is never read"
        return b"sentinel"

    subject = Tier(**{**vars(looked(answers, evidence)), "document": document, "resolve": resolve})
    (finding,) = [one for one in findings(subject) if one.check == "key"]
    assert finding.state is state
    assert said in finding.what


def test_after_a_rotation_the_newest_set_may_still_be_of_the_key_before() -> None:
    def ref(name: str) -> dict[str, str]:
        return {"vault": "kubernetes", "scope": NAMESPACE, "name": name, "key": "key"}

    earlier = {"1": {"ref": ref("perene-encryption-key"), "sentinel": ref("before"), "in_use": True}}
    key = {"kind": "kubernetes", "ref": ref("perene-encryption-key-g2"), "sentinel": ref("now"), "generation": 2, "earlier": earlier}
    answers = good()
    labelled = {"metadata": {"name": "x", "labels": {"perene.dev/key-fingerprint": "abc"}}}
    answers[f"{CORE}/secrets/perene-encryption-key-g2"] = labelled
    for seal, state in ((b"now", State.FINE), (b"before", State.FINE), (b"other", State.BAD)):
        made = Evidence(sets=(SetFact(**{**vars(NEWEST), "key": seal_of(seal)}),), drills=(DRILL,))
        changes = {"document": tier(encryption_key=key), "resolve": lambda one: one.name.encode()}
        subject = Tier(**{**vars(looked(answers, made)), **changes})
        assert [one.state for one in findings(subject) if one.check == "key"] == [state]


def test_a_full_volume_is_bad_and_an_unmeasured_one_is_unknown() -> None:
    full = [one for one in findings(looked(stats=summary(available=2**28))) if one.check == "space"]
    assert full[0].state is State.BAD
    unmeasured = [one for one in findings(looked(stats={"pods": []})) if one.check == "space"]
    assert unmeasured[0].state is State.UNKNOWN


def test_days_until_full_come_from_what_was_seen_before(tmp_path) -> None:  # type: ignore[no-untyped-def]
    history = tmp_path / "volumes.json"
    assert growth.days_until_full(history, {"c": (100.0, 1000.0)}, 0) == {}
    assert growth.days_until_full(history, {"c": (200.0, 1000.0)}, 86400) == {"c": 8.0}, "100 a day, 800 left"
    assert growth.days_until_full(history, {"c": (50.0, 1000.0)}, 2 * 86400) == {"c": float("inf")}
    history.write_text("{")
    assert growth.days_until_full(history, {"c": (1.0, 2.0)}, 1) == {}, "a broken history is begun anew"


def test_a_check_that_hangs_is_unknown_and_delays_nothing() -> None:
    def hang() -> list[Finding]:
        time.sleep(30)
        return []

    began = time.monotonic()
    found = run({"slow": hang, "quick": lambda: [Finding(state=State.FINE, check="quick", what="ok")]}, 0.3)
    assert time.monotonic() - began < 1
    assert [(one.check, one.state) for one in found] == [("slow", State.UNKNOWN), ("quick", State.FINE)]
    assert exit_code(found) is ExitCode.CANNOT_TELL, "lack of knowledge is never fine"


def test_a_check_that_breaks_hides_no_other() -> None:
    def crash() -> list[Finding]:
        raise KeyError("x")

    def refuse() -> list[Finding]:
        raise PereneError("no", fix="do this")

    found = run({"a": crash, "b": refuse, "c": lambda: [Finding(state=State.BAD, check="c", what="bad")]}, 5)
    assert [one.state for one in found] == [State.BAD, State.UNKNOWN, State.UNKNOWN]
    assert "do this" in {one.next for one in found}
    assert exit_code(found) is ExitCode.FAILED


def test_the_figures_come_through_the_api_servers_proxy() -> None:
    answers = good()
    answers[f"{CORE}/services/perene-exporter:9464/proxy/metrics"] = (
        'perene_sets{stack="s"} 7.0\n# TYPE x_total counter\nx_total{a="b"} 2\n'
    )
    figures = scraped(FakeApi(answers), NAMESPACE)
    assert figures.one("perene_sets", stack="s") == 7
    assert figures.one("perene_sets", stack="other") is None


def diagnosed(subject: Tier, owner: str = "10001 10001") -> list[Finding]:
    def inside(pod: str, container: str, command: list[str]) -> str:
        assert (pod, container) == ("main-g1-0", "postgres")
        return f"drwx------ 19 {owner} 4096 Nov 24 10:00 /var/lib/perene\n" if command[0] == "ls" else ""

    return run(lost.diagnosis(subject, inside), 5)


def test_a_service_that_cannot_be_reached_from_here_is_unknown_and_never_called_down() -> None:
    answers = good()
    answers[f"{CORE}/services/main-g1"] = {"spec": {"clusterIP": "127.0.0.1"}}
    subject = looked(answers)
    plain = tier().model_dump(mode="json")["stores"]["main"]
    plain["endpoint"] |= {"host": f"main-g1.{NAMESPACE}.svc.cluster.local", "port": 1}
    subject = Tier(**{**vars(subject), "document": tier(stores={"main": plain})})
    found = run({"main answers": checks.checks(subject)["main answers"]}, 5)
    assert [one.state for one in found] == [State.UNKNOWN]
    assert "127.0.0.1 cannot be reached from here" in found[0].what


def test_a_file_volume_is_mounted_where_the_application_likes() -> None:
    main = tier().model_dump(mode="json")["stores"]["main"]
    files = main | {"kind": "files", "workload": None, "endpoint": None}
    subject = looked(good())
    subject = Tier(**{**vars(subject), "document": tier(stores={"main": files})})
    found = run({"volumes": checks.checks(subject)["volumes"]}, 5)
    assert next(one for one in found if one.check == "volume").state == State.FINE


def test_an_exporter_that_does_not_answer_is_named_as_that() -> None:
    with pytest.raises(PereneError, match="nobody tells how the backups are"):
        scraped(FakeApi(good()), NAMESPACE)


def test_lost_says_that_all_is_in_place() -> None:
    assert {one.state for one in diagnosed(looked())} == {State.FINE}


def test_lost_finds_the_data_behind_a_claim_that_is_gone() -> None:
    found = diagnosed(broken(lambda a: a[f"{CORE}/persistentvolumeclaims"]["items"].clear()))
    said = next(one for one in found if one.check == "volume")
    assert "is still there" in said.what
    assert "claimRef" in said.next, "clear the reference, delete nothing"


def test_lost_offers_a_restore_when_nothing_is_left() -> None:
    def remove(answers: dict[str, Any]) -> None:
        answers[f"{CORE}/persistentvolumeclaims"]["items"].clear()
        answers["/api/v1/persistentvolumes"]["items"].clear()

    said = next(one for one in diagnosed(broken(remove)) if one.check == "volume")
    assert "no volume of it is left" in said.what
    assert said.next.startswith("perene restore newest")


def test_lost_names_a_wrong_owner() -> None:
    said = next(one for one in diagnosed(looked(), owner="999 999") if one.check == "rights")
    assert said.state is State.BAD
    assert "belongs to 999:999" in said.what


def test_lost_quotes_the_worst_line_of_the_log() -> None:
    def damage(answers: dict[str, Any]) -> None:
        answers[f"{CORE}/pods/main-g1-0/log"] = 'FATAL:  password authentication failed\nERROR:  invalid page in block 3 of relation "x"\n'

    said = next(one for one in diagnosed(broken(damage)) if one.check == "log")
    assert said.state is State.BAD
    assert "invalid page in block 3" in said.what
