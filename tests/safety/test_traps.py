"""The twenty measured traps of a data-loss gate, one test each, on recordings of the real engine."""

import json
from datetime import UTC, datetime
from typing import Any

from perene.contract.verdict import Finding, Verdict
from perene.exit_codes import ExitCode
from perene.safety import gate, reading
from perene.safety.state import parse_state
from tests.safety import recorded

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def verdict_of(document: dict[str, Any]) -> Verdict:
    return gate.judge(reading.parse_steps(json.dumps(document).encode(), "test"), now=NOW)


def verdict_on(name: str) -> Verdict:
    return verdict_of(recorded.document(name))


def finding(verdict: Verdict, name: str) -> Finding:
    return next(each for each in verdict.findings if each.urn.endswith(f"::{name}"))


def test_trap_1_a_blocked_replacement_without_any_step_is_not_read_as_nothing() -> None:
    document = recorded.document("cloudsql-region-change-prod-protected.json")
    assert {step["op"] for step in document["steps"]} == {"same"}, "the recording shows only unchanged resources"
    verdict = verdict_of(document)
    assert verdict.exit_code == ExitCode.CANNOT_TELL
    assert "unable to replace" in verdict.gaps[0].what, "the refusal itself is the only sign"


def test_trap_2_the_summary_is_never_believed() -> None:
    document = recorded.document("state-pending-delete-secret-version.json")
    assert set(document["changeSummary"]) == {"same"}, "the engine counts the destroyed version as unchanged"
    assert verdict_of(document).exit_code == ExitCode.LOSES_DATA


def test_trap_3_deletion_protection_does_not_excuse_a_delete_first_replacement() -> None:
    verdict = verdict_on("cloudsql-region-change-ignore-protect.json")
    assert finding(verdict, "prod-app").effect in {"LOSES-DATA", "DISRUPTIVE"}
    assert "before the guard refuses" in finding(verdict, "prod-main").reasons[0]
    assert verdict.exit_code == ExitCode.LOSES_DATA


def test_trap_4_a_guard_opened_in_the_same_change_as_the_deed_is_named() -> None:
    reasons = finding(verdict_on("cloudsql-unprotect-and-region-change-children-open.json"), "prod-main").reasons
    assert "its guard (protect) is opened in the same change" in reasons


def test_trap_5_a_restore_over_the_live_database_is_a_loss_and_its_lookalike_is_not() -> None:
    assert verdict_on("cloudsql-restore-context-same-instance.json").exit_code == ExitCode.LOSES_DATA
    assert verdict_on("cloudsql-clone-added.json").exit_code == ExitCode.DONE


def test_trap_6_what_is_no_longer_declared_weakens_although_nothing_is_sent() -> None:
    verdict = verdict_on("cloudsql-backup-block-removed-prod.json")
    assert finding(verdict, "prod-main").operation == "same"
    assert "no longer declared" in " ".join(finding(verdict, "prod-main").reasons)


def test_trap_7_ignored_changes_are_judged_by_the_option_itself() -> None:
    reasons = finding(verdict_on("ignore-changes-all-settings.json"), "prod-main").reasons
    assert "ignore_changes settings" in reasons[0]
    assert verdict_on("hide-diffs-region-staging.json").exit_code == ExitCode.LOSES_DATA, "hide_diffs hides nothing"


def test_trap_7_the_ignored_disk_size_is_part_of_the_design() -> None:
    document = recorded.document("ignore-changes-all-settings.json")
    for step in document["steps"]:
        if "ignoreChanges" in step["newState"]:
            step["newState"]["ignoreChanges"] = ["settings.diskSize"]
    assert verdict_of(document).exit_code == ExitCode.DONE


def test_trap_8_plain_updates_that_lose_or_weaken_are_found() -> None:
    assert verdict_on("cloudsql-log-days-30-to-7.json").exit_code == ExitCode.LOSES_DATA
    for name in ("cloudsql-pitr-off-prod", "bucket-soft-delete-off", "secret-deletion-protection-off", "alert-disk-no-channel"):
        assert verdict_on(f"{name}.json").exit_code == ExitCode.WEAKENS, name


def test_trap_9_the_plain_form_says_what_it_cannot_show() -> None:
    verdict = verdict_on("no-change-prod.plain.json")
    assert (verdict.certain, verdict.exit_code) == (False, ExitCode.CANNOT_TELL)
    assert verdict_on("cloudsql-unprotect-only.plain.json").exit_code == ExitCode.WEAKENS, "an unprotect shows as a same step"


def test_trap_10_a_replacement_without_a_reason_is_a_replacement() -> None:
    reasons = finding(verdict_on("replacement-trigger-changed-staging.json"), "staging-main").reasons
    assert "does not name" in reasons[0]


def test_trap_11_a_shrunk_disk_is_harmless_only_while_the_engine_says_so() -> None:
    assert verdict_on("cloudsql-disk-shrink-autoresize-on.json").exit_code == ExitCode.DONE
    assert verdict_on("cloudsql-disk-shrink-autoresize-off-staging.json").exit_code == ExitCode.LOSES_DATA


def test_trap_12_a_renamed_component_is_harmless_and_renamed_children_are_not() -> None:
    assert verdict_on("tier-component-renamed-prod-protected.json").exit_code == ExitCode.DONE
    assert verdict_on("tier-component-renamed-child-only-staging.json").exit_code == ExitCode.LOSES_DATA


def test_trap_13_a_delete_that_luck_would_stop_is_deadly() -> None:
    assert verdict_on("cloudsql-logical-rename-no-alias-staging.json").exit_code == ExitCode.LOSES_DATA
    assert verdict_on("target-replace-instance-staging.json").exit_code == ExitCode.LOSES_DATA


def test_trap_14_a_changed_provider_touches_nothing_that_exists() -> None:
    assert finding(verdict_on("provider-project-changed-prod-protected.json"), "gcp").effect == "DISRUPTIVE"


def test_trap_15_interrupted_operations_are_read_from_the_state() -> None:
    document = reading.parse_steps(recorded.files()["state-pending-operation-updating.json"], "test")
    urn = document.steps[-1].urn
    pending = {"type": "updating", "resource": {"urn": urn, "type": "x"}}
    state = parse_state(
        json.dumps({"version": 3, "deployment": {"resources": [{"urn": urn}], "pending_operations": [pending]}}).encode(), "state"
    )
    assert gate.judge(document, now=NOW).exit_code == ExitCode.DONE, "the preview shows nothing of it"
    assert gate.judge(document, now=NOW, state=state).exit_code == ExitCode.CANNOT_TELL


def test_trap_16_drift_is_judged_by_what_the_cloud_became() -> None:
    assert verdict_on("refresh-preview-backups-disabled-out-of-band.json").exit_code == ExitCode.WEAKENS
    assert verdict_on("preview-refresh-backups-disabled-out-of-band.json").exit_code == ExitCode.DONE, "this one would mend it"
    assert "no longer exists" in finding(verdict_on("refresh-preview-instance-deleted-out-of-band.json"), "prod-main").reasons[0]


def test_trap_17_a_destroy_that_spares_data_still_takes_its_guards() -> None:
    verdict = verdict_on("destroy-preview-prod-exclude-protected.json")
    assert verdict.exit_code == ExitCode.WEAKENS
    assert finding(verdict, "prod-backup").effect == "WEAKENS", "its alerts go"


def test_trap_18_deletion_policies_are_read_from_the_old_state() -> None:
    assert verdict_on("cloudsql-removed-deletion-policy-abandon.json").exit_code == ExitCode.WEAKENS
    assert "PREVENT" in " ".join(finding(verdict_on("cloudsql-removed-deletion-policy-prevent.json"), "staging-main").reasons)


def test_trap_19_an_import_with_other_inputs_is_judged_by_its_update() -> None:
    document = recorded.document("import-existing-instance.json")
    update = next(s for s in recorded.document("cloudsql-pitr-off-prod.json")["steps"] if s["op"] == "update")
    document["steps"].append(update)
    document["changeSummary"]["update"] = 1
    assert verdict_of(document).exit_code == ExitCode.WEAKENS
    assert verdict_on("import-existing-instance.json").exit_code == ExitCode.DONE


def test_trap_20_force_destroy_does_not_count_in_the_same_update_but_weakens_by_itself() -> None:
    assert verdict_on("bucket-force-destroy-on.json").exit_code == ExitCode.WEAKENS
    assert "bindings on it go first" in finding(verdict_on("bucket-renamed-staging.json"), "staging-exports").reasons[0]


def test_what_the_state_holds_and_the_preview_passes_over_is_not_called_unchanged() -> None:
    document = recorded.document("cloudsql-region-change-prod-protected.json")
    document["diagnostics"] = []
    cut = reading.parse_steps(json.dumps(document).encode(), "test")
    whole = recorded.document("no-change-prod.json")
    exported = {"version": 3, "deployment": {"resources": [step["oldState"] for step in whole["steps"]]}}
    state = parse_state(json.dumps(exported).encode(), "state")
    assert gate.judge(cut, now=NOW, state=state).exit_code == ExitCode.CANNOT_TELL, "the refusal is gone from it, its other half too"
    for name in ("no-change-prod.json", "tier-component-renamed-with-alias.json"):
        all_of_it = reading.parse_steps(recorded.files()[name], "test")
        assert gate.judge(all_of_it, now=NOW, state=state).exit_code == ExitCode.DONE, name
