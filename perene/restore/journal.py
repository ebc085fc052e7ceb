"""Where the journal of a restore in place lies: with the writer's lock, the one place beside a repository where each writer may replace."""

import io

from perene.backup.places import Exists, Place
from perene.contract.restore import RestoreJournal
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# What was live is untouched, and the set is still needed.
BEFORE_EXCHANGE = frozenset({"saving", "restoring", "compared"})
NAME = "locks/perene-restore"


def read(place: Place) -> RestoreJournal | None:
    """The journal of the restore that is under way; None when none is."""
    text = place.read(NAME)
    return None if text is None else RestoreJournal.parse(text, NAME)


def begin(place: Place, journal: RestoreJournal) -> None:
    """The first entry. PereneError (exit 3) when another restore has just begun."""
    try:
        place.create(NAME, io.BytesIO(journal.to_json().encode()))
    except Exists:
        raise PereneError("another restore in place has just begun", where=NAME, exit_code=ExitCode.CANNOT_TELL) from None


def write(place: Place, journal: RestoreJournal) -> None:
    """Replace the journal."""
    place.replace(NAME, journal.to_json().encode())


def remove(place: Place) -> None:
    """The restore is over."""
    place.delete(NAME)
