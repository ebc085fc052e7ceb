"""Reads what a promotion rests on; every statement of a machine or a person is signed, or it does not count."""

from pathlib import Path
from typing import TypeVar

from perene.contract.approval import ChangeApproval, Signed, StackEvidence
from perene.contract.promotion import BreakGlass, Checklist, PromotionRules
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import signing
from perene.safety.promotion import Evidence


def read(directory: Path, keys: Path, *, source: str, target: str, commit: str, approval: Path | None, first: bool) -> Evidence:
    """Everything from a directory: `STACK.json`, `checklist.json`, `break-glass.json` signed; `rules.json` plain (main's, in git).

    first: the target has no evidence yet, by the caller's word; if there is some after all, it counts. PereneError (exit 3) when a
    document is missing, unsigned, or speaks of another stack.
    """
    if source == target:
        raise PereneError("a stack is not promoted to itself", where=source, exit_code=ExitCode.USAGE)
    theirs = directory / f"{target}.json"
    rules = directory / "rules.json"
    glass = _signed(directory / "break-glass.json", BreakGlass, keys)
    checklist = _signed(directory / "checklist.json", Checklist, keys)
    return Evidence(
        source=_stack(directory / f"{source}.json", source, keys),
        target=None if first and not theirs.exists() else _stack(theirs, target, keys),
        target_name=target,
        commit=commit,
        approval=read_approval(approval, keys) if approval else None,
        checklist=checklist,
        break_glass=glass,
        rules=PromotionRules.read(rules) if rules.exists() else PromotionRules(),
    )


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
