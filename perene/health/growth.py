"""Days until a volume is full, from what earlier health checks on this computer saw."""

import json
from collections.abc import Mapping
from pathlib import Path

from perene.private import write_private

KEEP = 200
_LEAST = 3600  # a trend over less than an hour says nothing
_DAY = 86400


def days_until_full(history: Path | None, use: Mapping[str, tuple[float, float]], now: float) -> dict[str, float]:
    """Claim -> days at the pace since the oldest remembered use (infinite when it does not grow). use: claim -> bytes used, capacity.

    Remembers the present use. A history that cannot be read is begun anew: it is a convenience, not evidence.
    """
    if history is None:
        return {}
    try:
        known: dict[str, list[list[float]]] = json.loads(history.read_text()) if history.is_file() else {}
    except ValueError:
        known = {}
    days = {}
    for claim, (used, capacity) in use.items():
        points = known.setdefault(claim, [])
        if points and now - points[0][0] >= _LEAST:
            pace = (used - points[0][1]) / (now - points[0][0])
            days[claim] = (capacity - used) / pace / _DAY if pace > 0 else float("inf")
        points.append([now, used])
        del points[:-KEEP]
    write_private(history, json.dumps(known))
    return days
