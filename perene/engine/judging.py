"""The gate's word before anything changes, on both ways."""

from collections.abc import Callable

from perene.contract.steps import StepDocument
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.safety.gate import judge as verdict_on


def judge(show: Callable[[str], None]) -> Callable[[StepDocument], None]:
    """A judge that shows what the gate says, and raises (exit 4 or 5) when a protection would be weakened or data lost."""

    def decide(steps: StepDocument) -> None:
        verdict = verdict_on(steps)
        show(f"  gate: {verdict.effect}{'' if verdict.certain else ', and cannot see everything'}")
        for gap in verdict.gaps:
            show(f"    not seen: {gap.what} (fix: {gap.fix})")
        if any(gap.hides == "LOSES-DATA" for gap in verdict.gaps) and verdict.effect != "LOSES-DATA":
            raise PereneError(
                problems=[Problem(what=gap.what, where=verdict.stack, why=f"may hide {gap.hides}", fix=gap.fix) for gap in verdict.gaps],
                exit_code=ExitCode.CANNOT_TELL,
            )
        refused = [finding for finding in verdict.findings if finding.effect in {"WEAKENS", "LOSES-DATA"} and not finding.waived]
        if refused:
            raise PereneError(
                problems=[
                    Problem(
                        what=f"{finding.operation}: {finding.effect}",
                        where=finding.urn,
                        why="; ".join(finding.reasons),
                        fix=finding.way_out,
                    )
                    for finding in refused
                ],
                exit_code=ExitCode.LOSES_DATA if verdict.effect == "LOSES-DATA" else ExitCode.WEAKENS,
            )

    return decide
