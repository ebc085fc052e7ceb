"""Promotion as one pure function from evidence to a decision with every reason listed. Signatures were checked before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perene.contract.approval import ChangeApproval, StackEvidence
from perene.contract.migration import MigrationApproval, MigrationStatus, RehearsalRecord
from perene.contract.promotion import BreakGlass, Checklist, Decision, Demand, PromotionRules
from perene.safety.signing import digest

# What no emergency passes over: without these nobody knows what would be promoted, or who is responsible.
_NEVER_WAIVED = {"commit", "approval"}


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The migrations of one database in both stacks.

    status: files against the source's and the target's ledger; pending: digest of the scripts that the target lacks, empty for none;
    rehearsal, approval: of those, as they lie in git (the approval's signature was verified).
    """

    status: MigrationStatus
    pending: str
    rehearsal: RehearsalRecord | None = None
    approval: MigrationApproval | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that a decision rests on; signed documents were verified by the reader. target: None while nothing runs there.

    approval: of the change in the target; gate: the approved effect stands in it; checklist, break_glass: None when there is none;
    schemas: `store/database` -> its migrations, for every one that the rules name.
    """

    source: StackEvidence
    target: StackEvidence | None
    target_name: str
    commit: str
    approval: ChangeApproval | None
    checklist: Checklist | None
    break_glass: BreakGlass | None
    rules: PromotionRules
    schemas: Mapping[str, Schema] = field(default_factory=dict)


def decide(evidence: Evidence, now: datetime) -> Decision:
    """The decision. No clock, no file, no network: the same evidence at the same moment gives the same answer."""
    glass = _valid_glass(evidence, now)
    demands = tuple(_with_glass(demand, glass) for demand in _demands(evidence, now))
    used = any(demand.waived for demand in demands)
    previous = evidence.target.commit if evidence.target else ""
    return Decision(
        source=evidence.source.stack,
        target=evidence.target_name,
        commit=evidence.commit,
        at=now.isoformat(),
        promote=all(demand.met or demand.waived for demand in demands),
        first=evidence.target is None,
        loud=used,
        demands=demands,
        way_back=_way_back(evidence.target_name, previous),
    )


def _way_back(stack: str, previous: str) -> str:
    if not previous:
        return f"nothing ran in {stack} before: destroy it (perene destroy {stack}), data has not moved yet"
    return (
        f"check out {previous} and approve and apply it in {stack}; what changed data needs a restore: "
        f"the restore point that the apply took (perene restore {stack})"
    )


def _demands(evidence: Evidence, now: datetime) -> Iterator[Demand]:
    source, target, rules = evidence.source, evidence.target, evidence.rules
    yield _demand(
        "commit",
        source.commit == evidence.commit,
        f"{source.stack} runs {source.commit[:12]}, {evidence.commit[:12]} is to be promoted",
    )
    for stack in filter(None, (source, target)):
        yield _fresh(f"evidence-{stack.stack}", "evidence", stack.at, timedelta(minutes=rules.evidence_minutes), now)
    yield _soak(source, timedelta(hours=rules.soak_hours), now)
    for stack in filter(None, (source, target)):
        yield from _drills(stack, timedelta(hours=rules.drill_hours), now)
        yield _demand(f"drift-{stack.stack}", stack.drift == 0, f"{stack.drift} resources of {stack.stack} differ from what is declared")
        firing = ", ".join(stack.alerts) or "none"
        yield _demand(f"alerts-{stack.stack}", not stack.alerts, f"firing in {stack.stack}: {firing}")
    for name in rules.migrations:
        yield from _schema(name, evidence, now)
    yield from _approval(evidence, now)
    yield _checklist(evidence)


def _demand(name: str, met: bool, reason: str) -> Demand:
    return Demand(name=name, met=met, reason=reason)


def _age(moment: str, now: datetime) -> timedelta | None:
    """None when it is no time with a zone, or lies in the future."""
    try:
        age = now - datetime.fromisoformat(moment)
    except (ValueError, TypeError):
        return None
    return age if age >= timedelta(minutes=-1) else None


def _fresh(name: str, what: str, moment: str, limit: timedelta, now: datetime) -> Demand:
    age = _age(moment, now)
    if age is None:
        return _demand(name, met=False, reason=f"{what} of {moment or 'no time'}: no moment in the past")
    return _demand(name, age <= limit, f"{what} is {_hours(age)} old, at most {_hours(limit)}")


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} h"


def _soak(source: StackEvidence, soak: timedelta, now: datetime) -> Demand:
    age = _age(source.since, now)
    if age is None:
        return _demand("soak", met=False, reason=f"running since {source.since or 'no time'}: no moment in the past")
    return _demand("soak", age >= soak, f"has run in {source.stack} for {_hours(age)}, at least {_hours(soak)}")


def _drills(stack: StackEvidence, limit: timedelta, now: datetime) -> Iterator[Demand]:
    if not stack.stores:
        yield _demand(f"drill-{stack.stack}", met=False, reason=f"no store of {stack.stack} is named in the evidence")
    for store in stack.stores:
        name = f"drill-{stack.stack}-{store}"
        if store in stack.drills:
            yield _fresh(name, f"the proven drill of {store} in {stack.stack}", stack.drills[store], limit, now)
        else:
            yield _demand(name, met=False, reason=f"{store} in {stack.stack} was never proven to come back")


def _schema(name: str, evidence: Evidence, now: datetime) -> Iterator[Demand]:
    """The source has every migration of the commit with exactly this text; what the target lacks was rehearsed and approved."""
    source, target, schema = evidence.source.stack, evidence.target_name, evidence.schemas.get(name)
    if schema is None:
        yield _demand(f"migrations-{name}", met=False, reason=f"no ledger of {name} in the evidence (perene evidence --sets)")
        return
    wrong = [f"{label} is {cells[source]} in {source}" for label, cells in schema.status.rows.items() if cells[source] != "applied"]
    wrong += [f"{label} is {cells[target]} in {target}" for label, cells in schema.status.rows.items() if _strange(cells.get(target))]
    yield _demand(f"migrations-{name}", not wrong, "; ".join(wrong) or f"{source} has all {len(schema.status.rows)} with this text")
    if not schema.pending or target.rsplit("-", 1)[-1] not in evidence.rules.rehearsed_in:
        return
    record, approval = schema.rehearsal, schema.approval
    if record is None or record.scripts != schema.pending or not record.passed:
        what = "nobody rehearsed" if record is None else "a rehearsal of others, or one that failed, is there for"
        yield _demand(f"rehearsal-{name}", met=False, reason=f"{what} the scripts that {target} lacks")
        return
    limit = timedelta(hours=evidence.rules.rehearsal_hours)
    yield _fresh(f"rehearsal-{name}", f"the rehearsal on {record.recovery_set}", record.finished_at, limit, now)
    given = approval is not None and approval.rehearsal == digest(record) and approval.approver not in approval.authors
    yield _demand(
        f"migration-approval-{name}",
        approval is not None and given and _not_over(approval.expires, now),
        f"{approval.approver} approved {approval.impact} until {approval.expires}" if approval else "nobody approved this rehearsal",
    )


def _strange(cell: str | None) -> bool:
    """Neither there with the same text nor still to come."""
    return cell not in {None, "applied", "pending"}


def _approval(evidence: Evidence, now: datetime) -> Iterator[Demand]:
    approval = evidence.approval
    if approval is None:
        yield _demand("approval", met=False, reason="nobody approved this change")
        return
    binds = (approval.stack, approval.commit) == (evidence.target_name, evidence.commit)
    other = approval.approver not in {"", approval.author}
    yield _demand(
        "approval",
        binds and other and _not_over(approval.expires, now),
        f"{approval.approver} approved {approval.commit[:12]} of {approval.author} for {approval.stack} until {approval.expires}",
    )
    yield _demand("gate", approval.effect in {"SAFE", "DISRUPTIVE"}, f"the gate called the change {approval.effect}")


def _checklist(evidence: Evidence) -> Demand:
    questions, answers = evidence.rules.checklist, evidence.checklist
    if not questions:
        return _demand("checklist", met=True, reason="no question is asked")
    if answers is None or answers.commit != evidence.commit:
        return _demand("checklist", met=False, reason="nobody answered the checklist for this commit")
    open_ones = [question for question in questions if not answers.answers.get(question)]
    return _demand("checklist", not open_ones, f"answered by {answers.by}; open: {'; '.join(open_ones) or 'none'}")


def _valid_glass(evidence: Evidence, now: datetime) -> BreakGlass | None:
    glass = evidence.break_glass
    if glass is None or (glass.stack, glass.commit) != (evidence.target_name, evidence.commit) or not glass.reason.strip():
        return None
    return glass if _not_over(glass.expires, now) else None


def _not_over(expires: str, now: datetime) -> bool:
    try:
        return now <= datetime.fromisoformat(expires)
    except (ValueError, TypeError):
        return False


def _with_glass(demand: Demand, glass: BreakGlass | None) -> Demand:
    if demand.met or glass is None or demand.name not in glass.waives or demand.name in _NEVER_WAIVED:
        return demand
    return demand.model_copy(update={"waived": f"BREAK GLASS by {glass.by} until {glass.expires}: {glass.reason}"})
