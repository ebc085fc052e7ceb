"""Approving a change and applying exactly what was approved: previewed again, judged again, with a restore point first."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from perene.contract.approval import ChangeApproval, Signed
from perene.contract.tier import TierDocument
from perene.contract.verdict import Verdict
from perene.engine import binding
from perene.engine.change import Stack
from perene.engine.tier import tier_of
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.safety import gate, promotion_evidence, signing, waivers
from perene.safety.catalog import kind_of
from perene.safety.resources import type_of

Judge = Callable[[Stack, datetime], Verdict]


def judged(stack: Stack, now: datetime, waived: Path | None, keys: Path) -> Verdict:
    """The verdict on a fresh preview, with the state beside it and with what is validly waived."""
    verdict = gate.judge(stack.preview(), now=now, state=stack.state())
    return waivers.apply(verdict, waivers.read(waived, keys), now) if waived and waived.is_dir() else verdict


def approve(stack: Stack, verdict: Verdict, *, private_key: bytes, approver: str, now: datetime, valid: timedelta) -> Signed:
    """A signed approval of what the verdict speaks of.

    PereneError with the gate's own exit code when it is worse than DISRUPTIVE and not waived, or not seen in full; exit 3 when the approver
    wrote the commit.
    """
    refuse(verdict)
    commit, author = binding.commit_and_author(stack.root)
    if approver == author and guarded(stack.name):
        raise PereneError(
            f"{approver} wrote this commit",
            where=stack.name,
            why="two people look at every change of a guarded stack",
            fix="have somebody else approve it",
            exit_code=ExitCode.CANNOT_TELL,
        )
    approval = ChangeApproval(
        stack=stack.name,
        commit=commit,
        author=author,
        configuration=binding.configuration(stack.root, stack.name),
        providers=binding.providers(),
        state=stack.state().fingerprint,
        steps=verdict.steps_digest,
        effect=verdict.effect,
        approver=approver,
        at=now.isoformat(),
        expires=(now + valid).isoformat(),
    )
    return signing.sign(approval, private_key, approver)


def apply(stack: Stack, plan: Path, keys: Path, verdict: Verdict, *, now: datetime, restore_point: Callable[[str], None]) -> ChangeApproval:
    """Apply what a plan approves. PereneError (exit 3) when anything moved since, before any change.

    restore_point: takes a backup of the stack or raises; called for a guarded stack that has data.
    """
    approval = promotion_evidence.read_approval(plan, keys)
    problems = [
        Problem(what=f"{what} is not what was approved", where=stack.name)
        for what in binding.moved(approval, stack, steps_digest=verdict.steps_digest)
    ]
    if now > datetime.fromisoformat(approval.expires):
        problems.append(Problem(what=f"the approval ended at {approval.expires}", where=str(plan)))
    if approval.approver == approval.author and guarded(stack.name):
        problems.append(Problem(what=f"{approval.approver} approved a commit of their own", where=str(plan)))
    if problems:
        last = problems[-1]
        problems[-1] = Problem(
            what=last.what, where=last.where, why="what moved was not judged", fix=f"perene approve {stack.name} --out {plan}"
        )
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    refuse(verdict)
    if guarded(stack.name) and has_data(stack):
        restore_point(stack.name)
    stack.up()
    return approval


def refuse(verdict: Verdict) -> None:
    """PereneError with the gate's exit code when the gate does not let a change through."""
    if verdict.exit_code is ExitCode.DONE:
        return
    problems = [Problem(what=gap.what, where=verdict.stack, why=f"may hide {gap.hides}", fix=gap.fix) for gap in verdict.gaps]
    problems += [
        Problem(what=f"{finding.operation}: {finding.effect}", where=finding.urn, why="; ".join(finding.reasons), fix=finding.way_out)
        for finding in verdict.findings
        if finding.effect in {"WEAKENS", "LOSES-DATA"} and not finding.waived
    ]
    raise PereneError(problems=problems, exit_code=verdict.exit_code)


def guarded(stack: str) -> bool:
    """Whether a stack is guarded by its name: every environment but dev."""
    return stack.rsplit("-", 1)[-1] != "dev"


def has_data(stack: Stack) -> bool:
    """Whether the state holds anything that could be lost (the first deployment has nothing to back up)."""
    return any(kind_of(type_of(urn), custom=bool(each.get("custom"))).data for urn, each in stack.state().resources.items())


def waived(verdict: Verdict) -> str:
    """The waivers that a verdict rests on, for the audit."""
    return "; ".join(sorted({finding.waived for finding in verdict.findings if finding.waived})) or "nothing"


def audited_as(stack: Stack) -> TierDocument | str:
    """Of a guarded stack its tier document, so that what is done to it stands beside its repository; of a dev stack the name is enough."""
    return tier_of(stack.root, stack.name) if guarded(stack.name) else stack.name
