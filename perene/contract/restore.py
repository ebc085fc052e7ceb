"""The journal of a restore in place: how far it has come, for a rerun that finishes it from anywhere."""

from typing import ClassVar, Literal

from perene.contract.base import Document

Phase = Literal["saving", "restoring", "compared", "exchanging", "exchanged", "returning", "returned"]


class RestoreJournal(Document):
    """Lies beside the repository, because that outlives the pod and the stores; it is removed when the restore was finished or given up.

    stores: name -> the databases (or other parts) that are restored; phase: what is being done, or was done last; safety: the set that was
    taken first (empty: not yet, or there was nothing to save); unsaved: stores that are not in it, because a person said so.
    """

    KIND: ClassVar[str] = "restore-journal"
    document: Literal["restore-journal"] = "restore-journal"
    version: Literal[1] = 1
    set: str
    stores: dict[str, tuple[str, ...]]
    began: str
    phase: Phase
    safety: str = ""
    unsaved: tuple[str, ...] = ()
