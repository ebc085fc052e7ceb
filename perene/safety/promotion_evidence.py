"""Reads what a promotion rests on; every statement of a machine or a person is signed, or it does not count."""

from pathlib import Path
from typing import TypeVar

from perene.contract.approval import ChangeApproval, Signed, StackEvidence
from perene.contract.migration import LedgerExport, RehearsalRecord
from perene.contract.promotion import BreakGlass, Checklist, PromotionRules
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.migrate import admission, scripts
from perene.migrate.status import compare
from perene.safety import signing
from perene.safety.promotion import Evidence, Schema


def read(
    directory: Path, keys: Path, *, source: str, target: str, commit: str, approval: Path | None, first: bool, git: Path = Path()
) -> Evidence:
    """Everything from a directory: `STACK.json`, `checklist.json`, `break-glass.json` signed; `rules.json` plain (main's, in git).

    git: the checkout, for migration scripts and `evidence/TARGET/`.

    first: the target has no evidence yet, by the caller's word; if there is some after all, it counts. PereneError (exit 3) when a
    document is missing, unsigned, or speaks of another stack.
    """
    if source == target:
        raise PereneError("a stack is not promoted to itself", where=source, exit_code=ExitCode.USAGE)
    theirs = directory / f"{target}.json"
    rules = directory / "rules.json"
    glass = _signed(directory / "break-glass.json", BreakGlass, keys)
    checklist = _signed(directory / "checklist.json", Checklist, keys)
    read_rules = PromotionRules.read(rules) if rules.exists() else PromotionRules()
    stacks = (
        _stack(directory / f"{source}.json", source, keys),
        None if first and not theirs.exists() else _stack(theirs, target, keys),
    )
    return Evidence(
        source=stacks[0],
        target=stacks[1],
        target_name=target,
        commit=commit,
        approval=read_approval(approval, keys) if approval else None,
        checklist=checklist,
        break_glass=glass,
        rules=read_rules,
        schemas=_schemas(read_rules, *stacks, target_name=target, git=git, keys=keys),
    )


def _schemas(
    rules: PromotionRules, source: StackEvidence, target: StackEvidence | None, *, target_name: str, git: Path, keys: Path
) -> dict[str, Schema]:
    found = {}
    for name, directory in rules.migrations.items():
        migrations = scripts.load(git / directory)
        nothing = LedgerExport(environment=target_name, database="", taken_at="", applied=(), audit=())
        theirs = target.ledgers.get(name) if target else nothing
        if name not in source.ledgers or theirs is None:
            continue
        status = compare(migrations, {source.stack: source.ledgers[name], target_name: theirs})
        pending = [migration for migration in migrations if status.rows[migration.label][target_name] == "pending"]
        shown = git / "evidence" / target_name
        rehearsal, approval = shown / admission.REHEARSAL, shown / admission.APPROVAL
        found[name] = Schema(
            status=status,
            pending=scripts.digest(pending) if pending else "",
            rehearsal=RehearsalRecord.read(rehearsal) if rehearsal.exists() else None,
            approval=admission.read_approval(approval, keys) if approval.exists() else None,
        )
    return found


def read_approval(path: Path, keys: Path) -> ChangeApproval:
    """A signed approval whose signer is the approver it names."""
    signed = Signed.read(path)
    approval = signing.verified(signed, ChangeApproval, keys, str(path))
    _same(signed, approval.approver, path)
    return approval


def _stack(path: Path, stack: str, keys: Path) -> StackEvidence:
    found = signing.verified(Signed.read(path), StackEvidence, keys, str(path))
    if found.stack != stack:
        raise PereneError(f"it speaks of {found.stack}, not of {stack}", where=str(path), exit_code=ExitCode.CANNOT_TELL)
    return found


Personal = TypeVar("Personal", BreakGlass, Checklist)


def _signed(path: Path, kind: type[Personal], keys: Path) -> Personal | None:
    if not path.exists():
        return None
    signed = Signed.read(path)
    document = signing.verified(signed, kind, keys, str(path))
    _same(signed, document.by, path)
    return document


def _same(signed: Signed, person: str, path: Path) -> None:
    if signed.signature.signer != person:
        raise PereneError(f"{signed.signature.signer} signed in the name of {person}", where=str(path), exit_code=ExitCode.CANNOT_TELL)
