"""The record of a sealed copy: which set lies where, written once, for its owner's offline identity alone."""

from typing import ClassVar, Literal

from perene.contract.base import Document


class SealRecord(Document):
    """One sealed copy.

    place: the bucket's address; name: the object's; recipient: the age recipient that can open it; bytes: None where an earlier run wrote
    it and could not record it.
    """

    KIND: ClassVar[str] = "sealed"
    document: Literal["sealed"] = "sealed"
    version: Literal[1] = 1
    stack: str
    set: str
    place: str
    name: str
    recipient: str
    started: str
    finished: str
    bytes: int | None
