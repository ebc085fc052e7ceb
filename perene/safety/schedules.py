"""How rarely a cron line fires: enough to see that a backup became rarer or never comes."""

import calendar
import itertools
import re
from datetime import date, timedelta
from typing import Any

_NAMES = {name.lower(): str(value) for value, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name.lower(): str((value + 1) % 7) for value, name in enumerate(calendar.day_abbr)}
_FIRST = date(2024, 1, 1)
_SPAN_DAYS = 4 * 366


def _field(text: str, low: int, high: int, names: dict[str, str]) -> set[int] | None:
    values: set[int] = set()
    for part in text.lower().split(","):
        match = re.fullmatch(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d+))?", part)
        if not match:
            return None
        first, last = (names.get(word or "", word) for word in (match[1], match[2]))
        step = int(match[3] or 1)
        if first == "*":
            start, end = low, high
        elif (first or "").isdigit() and (last is None or last.isdigit()):
            start = int(first or 0)
            end = int(last) if last else high if match[3] else start
        else:
            return None
        if not (low <= start <= end <= high) or step < 1:
            return None
        values |= set(range(start, end + 1, step))
    return values


def longest_gap_days(line: Any) -> float | None:
    """The longest time between two runs of a cron line, in days (below a day: 1 / runs per day).

    infinity: it never runs (30 February); None: not a cron line.
    """
    macros = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
    fields = macros.get(line, line).split() if isinstance(line, str) else []
    if len(fields) != 5:
        return None
    minutes, hours = _field(fields[0], 0, 59, {}), _field(fields[1], 0, 23, {})
    days, months, weekdays = _field(fields[2], 1, 31, {}), _field(fields[3], 1, 12, _NAMES), _field(fields[4], 0, 7, _DAYS)
    if minutes is None or hours is None or days is None or months is None or weekdays is None:
        return None
    either = fields[2] != "*" and fields[4] != "*"

    def runs(day: date) -> bool:
        by_day, by_weekday = day.day in days, day.isoweekday() % 7 in {weekday % 7 for weekday in weekdays}
        return day.month in months and (by_day or by_weekday if either else by_day and by_weekday)

    firing = [offset for offset in range(_SPAN_DAYS) if runs(_FIRST + timedelta(days=offset))]
    if not firing:
        return float("inf")
    gap = max((later - earlier for earlier, later in itertools.pairwise(firing)), default=_SPAN_DAYS)
    return gap if gap > 1 else 1 / (len(hours) * len(minutes))
