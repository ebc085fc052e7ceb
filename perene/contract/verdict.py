"""The gate's verdict on one step document."""

from typing import ClassVar, Literal

from perene.contract.base import Document, Value
from perene.contract.steps import Way
from perene.exit_codes import ExitCode

EffectName = Literal["SAFE", "DISRUPTIVE", "WEAKENS", "LOSES-DATA"]


class Finding(Value):
    """One judged change, worst reason first.

    effect: the class; operation: what the engine does; reasons: why, with the paths; way_out: what to do instead; digest: sha256 of the
    change (masked values by their version id), which a waiver names; waived: who approved it, empty when nobody did; waivable: False when
    no approval makes it right (a store before the date on which it may go).
    """

    urn: str
    type: str
    operation: str
    effect: EffectName
    reasons: tuple[str, ...]
    way_out: str
    digest: str
    waived: str = ""
    waivable: bool = True


class Gap(Value):
    """Something the gate could not see. hides: the worst that may be behind it; fix: how to make it visible."""

    what: str
    hides: EffectName
    fix: str


class Right(Value):
    """A change of rights: who gains or loses what on which resource."""

    who: str
    role: str
    on: str
    change: Literal["granted", "taken"]


class Budget(Value):
    """The loss budget of one store.

    rpo, rto: the goals as configured; proven: when a restore was last proven, empty when never; changes: what this change does to it.
    """

    store: str
    kind: str
    rpo: str
    rto: str
    proven: str = ""
    changes: tuple[str, ...] = ()


class Verdict(Document):
    """What a change does to data. certain: nothing was hidden from the gate; counts: class -> number of resources, waived ones left out."""

    KIND: ClassVar[str] = "verdict"
    document: Literal["verdict"] = "verdict"
    version: Literal[1] = 1
    stack: str
    way: Way
    effect: EffectName
    certain: bool
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...] = ()
    rights: tuple[Right, ...] = ()
    budget: tuple[Budget, ...] = ()
    counts: dict[str, int]
    steps_digest: str

    @property
    def exit_code(self) -> ExitCode:
        """5: data would be lost; else 3: a loss may hide; else 4: a protection is weakened; else 3: that may hide; else 0."""
        hidden = {gap.hides for gap in self.gaps}
        if self.effect == "LOSES-DATA":
            return ExitCode.LOSES_DATA
        if "LOSES-DATA" in hidden:
            return ExitCode.CANNOT_TELL
        if self.effect == "WEAKENS":
            return ExitCode.WEAKENS
        return ExitCode.CANNOT_TELL if hidden else ExitCode.DONE
