"""The documents of a promotion: what is asked of it, how it is broken in an emergency, and the decision with every reason."""

from typing import ClassVar, Literal

from perene.contract.base import Document, Value


class PromotionRules(Document):
    """What a promotion demands. hours: at least that long in the source; drill_hours: the oldest proven drill that counts, in both stacks.

    checklist: the questions that a person answers with yes; evidence_minutes: how old evidence may be; migrations: `store/database` ->
    directory of its scripts in the checkout; rehearsed_in: environments in which pending scripts must have been rehearsed, not longer
    than rehearsal_hours ago, and approved by another person.
    """

    KIND: ClassVar[str] = "promotion-rules"
    document: Literal["promotion-rules"] = "promotion-rules"
    version: Literal[1] = 1
    soak_hours: float = 24
    drill_hours: float = 48
    evidence_minutes: float = 60
    checklist: tuple[str, ...] = ()
    migrations: dict[str, str] = {}
    rehearsed_in: tuple[str, ...] = ("prod",)
    rehearsal_hours: float = 24


class Checklist(Document):
    """A person's answers. answers: question -> yes or no."""

    KIND: ClassVar[str] = "checklist"
    document: Literal["checklist"] = "checklist"
    version: Literal[1] = 1
    commit: str
    by: str
    answers: dict[str, bool]


class BreakGlass(Document):
    """An emergency: the promotion goes on although reasons speak against it, until a date, and everybody hears of it.

    waives: names of the demands that are passed over; expires: RFC 3339.
    """

    KIND: ClassVar[str] = "break-glass"
    document: Literal["break-glass"] = "break-glass"
    version: Literal[1] = 1
    stack: str
    commit: str
    waives: tuple[str, ...]
    reason: str
    by: str
    expires: str


class Demand(Value):
    """One demand. name: `soak`; met: whether it holds; reason: why, with the numbers; waived: by whose emergency."""

    name: str
    met: bool
    reason: str
    waived: str = ""


class Decision(Document):
    """Whether a commit may go from one stack to the next, with every demand, met or not.

    first: nothing runs in the target yet; loud: an emergency was used; way_back: what to do when it goes wrong.
    """

    KIND: ClassVar[str] = "promotion"
    document: Literal["promotion"] = "promotion"
    version: Literal[1] = 1
    source: str
    target: str
    commit: str
    at: str
    promote: bool
    first: bool
    loud: bool
    demands: tuple[Demand, ...]
    way_back: str
